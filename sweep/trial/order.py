"""Which samples the batches of a pass are made of, and the seeds that they are made with.

Loads torch; see `sweep.trial.loader`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np
import torch
from torch.utils.data import RandomSampler, SequentialSampler

from sweep.checkpoint import rng
from sweep.trial.innards import Innards
from sweep.trial.seeded import Tagged
from sweep.trial.seeding import derive
from sweep.trial.stream import Asked, is_stateful, state_of


def index_source(dataset: Any, shuffle: bool, generator: torch.Generator | None) -> Any:
    if not shuffle:
        return SequentialSampler(dataset)
    if generator is None:
        return _Shuffle(dataset)
    return RandomSampler(dataset, generator=generator)


class _Shuffle:
    """Stands for a permutation that `Order` draws from its own generator."""

    def __init__(self, dataset: Sized) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))


class Order:
    """The indices of one pass, drawn when it begins: a sampler, or a batch sampler, for torch.

    ``source`` says which indices; a sampler of the user's is asked once and its answer kept in the
    checkpoint, since it need not give it twice. One without a length, which may have no end, is
    asked again from the start of the pass, with all that it held and drew then. ``each`` of the
    indices make a batch.

    Of several processes, ``share`` is (the number of this one, how many there are): each has every
    so many-th of the indices, as many as every other.
    """

    def __init__(
        self,
        source: Any,
        generator: torch.Generator,
        each: int,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self._source, self._generator, self._each = source, generator, each
        self._rank, self._size = share
        self._indices: Iterable[Any] = ()
        self._skip = 0
        self._seed: int | None = None
        self._innards = Innards(sampler=source)
        self.plan: Any = None
        """The indices as drawn, where they do not follow from the seed."""
        self.start: Any = None
        """What a sampler without a length held when the pass began."""

    def begin(self, skip: int, seed: int | None, plan: Any, start: Any) -> None:
        """Draw a pass (or take up the ``plan`` or ``start`` of one) and leave out ``skip`` batches.

        With a ``seed`` each batch is tagged with one of its own.
        """
        self._skip, self._seed, self.plan, self.start = skip, seed, plan, None
        if plan is not None:
            self._indices = plan.tolist() if isinstance(plan, np.ndarray) else plan
        elif isinstance(self._source, _Shuffle):
            drawn = torch.randperm(len(self._source), generator=self._generator)
            self._indices = self._shared(drawn.tolist())
        elif isinstance(self._source, SequentialSampler):
            self._indices = self._shared(range(len(self._source)))
        elif hasattr(self._source, "__len__"):
            self._indices = self._shared(self._asked())
            flat = all(type(index) is int for index in self._indices)
            self.plan = np.array(self._indices, dtype=np.int64) if flat else self._indices
        else:  # maybe without end: cannot be drawn in advance
            self.start = self._begun(start)
            seed = derive("sampler", self._generator.initial_seed()) >> 32
            source = Asked(self._source, seed, self._each * self._size)
            self._indices = source if self._size == 1 else _Rounds(source, self._rank, self._size)

    def _begun(self, start: Any) -> Any:
        """What the sampler holds now that a pass begins; put back to ``start``, if there is one."""
        if start is None:
            return {"own": self._innards.capture(), "state": state_of(self._source)}
        self._innards.restore(start["own"])
        if is_stateful(self._source) and start["state"] is not None:
            self._source.load_state_dict(start["state"])
        return start

    def __len__(self) -> int:
        return -(-len(self._source) // self._size)

    def _shared(self, indices: Sequence[Any]) -> Sequence[Any]:
        """This process's part; the first indices come again where they do not suffice for all."""
        if self._size == 1 or not indices:
            return indices
        places = range(self._rank, len(self) * self._size, self._size)
        return [indices[place % len(indices)] for place in places]

    def _asked(self) -> list[Any]:
        """What the user's sampler gives: in all processes of a trial the same."""
        if self._size == 1:
            return list(self._source)
        before, seed = rng.capture(), self._generator.initial_seed() >> 32
        rng.seed(seed)
        try:
            return list(self._source)
        finally:
            rng.restore(before, seed)

    def __iter__(self) -> Iterator[Any]:
        first = self._skip * self._each
        indices = itertools.islice(self._indices, first, None)
        return iter(indices) if self._seed is None else self._tag(indices, first)

    def _tag(self, indices: Iterable[Any], first: int) -> Iterator[Any]:
        for number, index in enumerate(indices, first):
            if number % self._each:
                yield index
            else:
                seed = derive("batch", self._seed, number // self._each) >> 32
                if isinstance(index, list):
                    yield [Tagged(seed, index[0] if index else None), *index[1:]]
                else:
                    yield Tagged(seed, index)

    def state(self) -> Any:
        """State of the user's sampler, of those inside it, and of what they hold."""
        parts = [_state(part) for part in self._parts()]
        return {"parts": parts, "own": self._innards.capture()}

    def restore(self, state: Any, *, goes_on: bool) -> None:
        """``goes_on``: in the middle of a pass; one without a plan is restored by `begin`."""
        if goes_on and self._endless:
            return
        if isinstance(state, list):  # an older version's
            state = {"parts": state, "own": None}
        if state["own"] is not None:
            self._innards.restore(state["own"])
        for part, saved in zip(self._parts(), state["parts"], strict=False):
            if saved is not None:
                _restore(part, saved)

    @property
    def _endless(self) -> bool:
        """Whether the sampler has no length, and may have no end."""
        return not hasattr(self._source, "__len__")

    def _parts(self) -> list[Any]:
        """The sampler and those inside it."""
        parts: list[Any] = []
        part = self._source
        while part is not None and len(parts) < 8:
            parts.append(part)
            part = getattr(part, "sampler", None)
        return parts


def _state(sampler: Any) -> Any:
    if hasattr(sampler, "state_dict") and hasattr(sampler, "load_state_dict"):
        return {"sampler": sampler.state_dict()}
    generator = getattr(sampler, "generator", None)
    return {"torch": generator.get_state()} if isinstance(generator, torch.Generator) else None


def _restore(sampler: Any, state: Any) -> None:
    if "sampler" in state:
        sampler.load_state_dict(state["sampler"])
    else:
        sampler.generator.set_state(state["torch"])


class _Rounds:
    """One process's index out of each whole round; a last one that is not whole is left out."""

    def __init__(self, source: Iterable[Any], rank: int, size: int) -> None:
        self._source, self._rank, self._size = source, rank, size

    def __iter__(self) -> Iterator[Any]:
        for whole in zip(*[iter(self._source)] * self._size, strict=False):
            yield whole[self._rank]
