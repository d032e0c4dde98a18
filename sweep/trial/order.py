"""Which samples the batches of a pass are made of, and the seeds that they are made with.

Loads torch; see `sweep.trial.loader`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sized
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import RandomSampler, SequentialSampler

from sweep.checkpoint import rng
from sweep.trial.seeding import derive


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


class _Tagged(NamedTuple):
    """The first index of a batch, with the seed that its worker is to use."""

    seed: int
    index: Any


class Order:
    """The indices of one pass, drawn when it begins: a sampler, or a batch sampler, for torch.

    ``source`` says which indices; a sampler of the user's is asked once and its answer kept in the
    checkpoint, since it need not give it twice. ``each`` of the indices make a batch.
    """

    def __init__(self, source: Any, generator: torch.Generator, each: int) -> None:
        self._source, self._generator, self._each = source, generator, each
        self._indices: Iterable[Any] = ()
        self._skip = 0
        self._seed: int | None = None
        self.plan: Any = None
        """The indices as drawn, where they do not follow from the seed."""

    def begin(self, skip: int, seed: int | None, plan: Any) -> None:
        """Draw a pass (or take up the ``plan`` of one) and leave out ``skip`` batches.

        With a ``seed`` each batch is tagged with one of its own.
        """
        self._skip, self._seed, self.plan = skip, seed, plan
        if plan is not None:
            self._indices = plan.tolist() if isinstance(plan, np.ndarray) else plan
        elif isinstance(self._source, _Shuffle):
            self._indices = torch.randperm(len(self), generator=self._generator).tolist()
        elif isinstance(self._source, SequentialSampler):
            self._indices = range(len(self))
        elif hasattr(self._source, "__len__"):
            self._indices = list(self._source)
            flat = all(type(index) is int for index in self._indices)
            self.plan = np.array(self._indices, dtype=np.int64) if flat else self._indices
        else:  # maybe without end: cannot be drawn in advance
            self._indices = self._source

    def __len__(self) -> int:
        return len(self._source)

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
                    yield [_Tagged(seed, index[0] if index else None), *index[1:]]
                else:
                    yield _Tagged(seed, index)

    def state(self) -> Any:
        """State of the generators of the user's sampler; None where it has none."""
        states = [_state(part) for part in self._parts()]
        return states if any(state is not None for state in states) else None

    def restore(self, states: Any) -> None:
        for part, state in zip(self._parts(), states, strict=False):
            if state is not None:
                _restore(part, state)

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


class SeededDataset:
    """A map-style dataset in a worker process: each batch is made with the seed that it carries."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def __getitem__(self, index: Any) -> Any:
        return self._dataset[_untag(index)]

    def __getitems__(self, batch: list[Any]) -> Any:
        indices = [_untag(index) for index in batch]
        together = getattr(self._dataset, "__getitems__", None)
        return together(indices) if together else [self._dataset[index] for index in indices]


def _untag(index: Any) -> Any:
    if not isinstance(index, _Tagged):
        return index
    rng.seed(index.seed)
    return index.index
