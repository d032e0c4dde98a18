"""Iterable datasets whose passes can be found again: draws of their own, and a place in them.

Loads torch; see `sweep.trial.loader`.

What an iterable dataset draws from the global generators, it draws from a stream of its own that
begins with the pass, apart from what the trial (or the collate function) draws in between. So a
pass that is begun anew and run ahead gives the same items. That is how it is resumed, unless the
dataset has a ``state_dict`` which can be relied on: it has drawn nothing in this pass, or as much
for the first item as for the second, so that what it draws when it is opened is none of its order.
"""

from __future__ import annotations

import copy
import enum
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy.random  # noqa: F401  so that it has a generator from the first pass on
import torch
from torch.utils.data import IterableDataset, get_worker_info
from torch.utils.data._utils.worker import _generate_state

from sweep.checkpoint import rng
from sweep.trial.innards import Innards
from sweep.trial.seeded import set_info
from sweep.trial.seeding import derive


class Draws:
    """The global generators, as they are between `enter` and `leave`."""

    def __init__(self, state: dict[str, Any], seed: int) -> None:
        """They begin with ``state``; libraries that are not in it, with ``seed``."""
        self.state, self.seed = state, seed
        self._outer: dict[str, Any] | None = None

    def enter(self) -> None:
        if self._outer is None:
            self._outer = rng.capture()
            rng.restore(self.state, self.seed)

    def leave(self) -> None:
        if self._outer is not None:
            self.state = rng.capture()
            rng.restore(self._outer, self.seed)
            self._outer = None

    def now(self) -> dict[str, Any]:
        return self.state if self._outer is None else rng.capture()


class Way(enum.StrEnum):
    """How a place in a pass is found again."""

    STATE = "state"
    AHEAD = "ahead"


class Stream(IterableDataset[Any]):
    """Stands for a dataset where torch iterates over it: in worker processes, or in this one."""

    def __init__(
        self,
        dataset: Any,
        collate: Callable[[Any], Any],
        start: Callable[[int], Any] | None,
        base: torch.Tensor,
        *,
        persistent: bool,
    ) -> None:
        """``base`` holds the seed of the pass, of 63 bits; with workers in memory that is shared.

        ``start`` is what a worker process begins with. As in torch, worker n draws from
        ``base`` + n. ``persistent``: the workers make more than one pass.
        """
        self.dataset, self._collate, self._start, self._base = dataset, collate, start, base
        self._persistent = persistent
        self.draws: Draws | None = None
        self.items = 0
        self._kept: tuple[Innards, Any, dict[str, Any]] | None = None

    def __iter__(self) -> Iterator[Any]:
        return Items(self)

    def begin(self) -> Innards:
        """A pass begins; in a worker that has made one before, as in one that is new."""
        base, worker = int(self._base.item()), get_worker_info()
        number = 0 if worker is None else worker.id
        seed = (base + number) % 2**32
        begun = rng.seeded(base + number, numpy=_generate_state(base, number))  # type: ignore[no-untyped-call]
        if worker is not None:
            if self._kept is not None:
                rng.restore(begun, seed)
                self._renew(worker, base + number)
            begun = rng.capture()
        self.draws, self.items = Draws(begun, seed), 0
        if self._kept is None:
            innards = Innards(dataset=self.dataset)
            self._kept = innards, state_before(self.dataset), innards.plain()
        innards = self._kept[0]
        if self._persistent:
            innards.seed(base % 2**32)  # alike in all workers, so that they agree on an order
        return innards

    def _renew(self, worker: Any, seed: int) -> None:
        assert self._kept is not None
        innards, state, plain = self._kept
        innards.assign(plain)
        if state is not None:
            self.dataset.load_state_dict(copy.deepcopy(state))
        set_info("seed", seed)
        if self._start is not None:
            self._start(worker.id)

    def collate(self, items: Any) -> Any:
        """Make a batch outside of the stream; in a worker, with a seed of its own."""
        if self.draws is not None:
            self.draws.leave()
            if get_worker_info() is not None:
                rng.seed(derive("collate", self.draws.seed, self.items) >> 32)
        return self._collate(items)


class Items(Iterator[Any]):
    """One pass. Its ``state_dict`` is a place in it, made of what a checkpoint may hold."""

    def __init__(self, home: Stream) -> None:
        self._home, self._dataset = home, home.dataset
        self._innards = home.begin()
        assert home.draws is not None
        self._draws = home.draws
        self._items: Iterator[Any] | None = None
        self._ended = False
        self._start: Any = None
        self._marks: list[tuple[Any, Any]] = []
        self._loaded: dict[str, tuple[Any, Any]] = {}

    def __next__(self) -> Any:
        if self._ended:
            raise StopIteration
        self._draws.enter()
        try:
            if self._items is None:
                self._open()
            assert self._items is not None
            item = next(self._items)
        except StopIteration:
            self._ended = True
            self._draws.leave()
            self._forget_loaded()
            raise
        except BaseException:
            self._draws.leave()
            raise
        self._home.items += 1
        if self._marks and len(self._marks) < 3:
            self._marks.append(self._mark())
        return item

    def state_dict(self) -> dict[str, Any]:
        """In a list, since torchdata takes dictionaries apart, and misses what changes in place."""
        tree: dict[str, Any] = {"items": self._home.items, "ended": self._ended}
        if self._ended or not self._stateful:
            return {"place": [{**tree, "way": str(Way.AHEAD), "start": None}]}
        if self._is_reliable():
            tree |= {
                "way": str(Way.STATE),
                "dataset": state_of(self._dataset),
                "iterator": None if self._items is self._dataset else state_of(self._items),
                "draws": self._draws.state,
                "own": self._innards.generators(),
            }
        else:
            tree |= {"way": str(Way.AHEAD), "start": copy.deepcopy(self._start)}
        return {"place": [{**tree, "marks": self._marks}]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the place that ``state`` gives."""
        (place,) = state["place"]
        if place["ended"]:
            self._home.items, self._ended = place["items"], True
            return
        self._draws.enter()
        try:
            if place["way"] == Way.AHEAD:
                self._run_ahead(place["items"], place["start"])
            else:
                self._take_up(place)
        finally:
            self._draws.leave()

    def _run_ahead(self, items: int, start: Any) -> None:
        if start is not None:
            self._dataset.load_state_dict(copy.deepcopy(start))
        for _ in range(items):
            next(self)

    def _take_up(self, place: dict[str, Any]) -> None:
        """As torchdata does it: the dataset's state, its iterator, the iterator's state."""
        before = self._innards.plain()
        self._start = state_before(self._dataset)
        if place["dataset"] is not None:
            self._dataset.load_state_dict(copy.deepcopy(place["dataset"]))
        rng.restore(place["draws"], 0)
        self._items = iter(self._dataset)
        items: Any = self._items
        if items is self._dataset:
            self._dataset.load_state_dict(copy.deepcopy(place["dataset"]))
        elif place["iterator"] is not None:
            items.load_state_dict(copy.deepcopy(place["iterator"]))
        after = self._innards.plain()
        self._loaded = {
            path: (before[path], value)
            for path, value in after.items()
            if path in before and before[path] != value
        }
        rng.restore(place["draws"], 0)
        self._innards.restore_generators(place["own"])
        self._home.items = place["items"]
        self._marks = [tuple(mark) for mark in place["marks"]]

    def _open(self) -> None:
        self._start = state_before(self._dataset)
        mark = self._mark()
        self._items = iter(self._dataset)
        if self._stateful:
            self._marks = [mark]

    @property
    def _stateful(self) -> bool:
        return is_stateful(self._dataset) or is_stateful(self._items)

    def _mark(self) -> tuple[Any, Any]:
        return self._draws.now(), self._innards.generators()

    def _is_reliable(self) -> bool:
        """Whether the dataset's own state is all that its order follows from."""
        if not self._marks:
            return False
        if self._mark() == self._marks[0]:
            return True
        if len(self._marks) < 3 or self._marks[0][1] != self._innards.generators():
            return False
        first, second, third = (draws for draws, _ in self._marks)
        return drawn(first, second) == drawn(second, third)

    def _forget_loaded(self) -> None:
        """What only `load_state_dict` has set (where to begin, say) is not for the next pass."""
        now = self._innards.plain()
        back = {path: old for path, (old, new) in self._loaded.items() if now.get(path) == new}
        self._innards.assign(back)
        self._loaded = {}


def drawn(before: dict[str, Any], after: dict[str, Any]) -> tuple[int, ...]:
    """How many words Python, NumPy and torch have drawn between two states.

    Up to a multiple of the generator's 624 words, but never 0 where any were drawn.
    """
    counts = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            counts.append(-1)
            continue
        (block, place), (later, at) = _mersenne(name, before[name]), _mersenne(name, after[name])
        counts.append(at - place if block == later else at - place + 624)
    return tuple(counts)


def _mersenne(name: str, state: Any) -> tuple[bytes, int]:
    """The block of 624 words that a generator draws from, and how many of it are drawn."""
    if name == "python":
        return state["words"][:2496], int.from_bytes(state["words"][2496:2500], "little")
    if name == "numpy":
        return state["state"]["key"], int(state["state"]["pos"])
    data = state["cpu"]  # seed (8 bytes), left (4), seeded (4), next (8), 624 words of 8 bytes, ...
    return data[24 : 24 + 624 * 8], 625 - int.from_bytes(data[8:12], "little")


def base_of(seed: int) -> int:
    """What torch draws as the base of its workers' seeds from a generator with ``seed``."""
    generator = torch.Generator().manual_seed(seed)
    return int(torch.empty((), dtype=torch.int64).random_(generator=generator).item())


def is_stateful(value: Any) -> bool:
    return hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def state_of(value: Any) -> Any:
    return copy.deepcopy(value.state_dict()) if is_stateful(value) else None


def state_before(dataset: Any) -> Any:
    """The state before a pass; None where there is none until it is iterated."""
    try:
        return state_of(dataset)
    except AttributeError:
        return None


class Asked(Iterable[Any]):
    """The indices of a sampler without a length, asked for so many at a time, in a stream."""

    def __init__(self, source: Any, seed: int, number: int) -> None:
        """``number`` of the indices are needed at once."""
        self._source, self._seed, self._number = source, seed, number

    def __iter__(self) -> Iterator[Any]:
        draws = Draws(rng.seeded(self._seed), self._seed)
        indices: Iterator[Any] | None = None
        while True:
            draws.enter()
            try:
                indices = indices or iter(self._source)
                asked = list(itertools.islice(indices, self._number))
            finally:
                draws.leave()
            yield from asked
            if len(asked) < self._number:
                return
