"""Collections of which a snapshot costs next to nothing, however much they hold.

A search is asked in one thread while the journal goes on in another. A copy for each ask would make
a study take time with the square of its trials.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Generic, Self, TypeVar

from sweep.spec.value import digest

T = TypeVar("T")
V = TypeVar("V")

CHUNK = 512
"""So many items of a list are copied at a time, when one of them is replaced after a snapshot."""


class PersistentList(Generic[T]):
    """A list in chunks, which a list and its snapshots share until one of them writes there."""

    __slots__ = ("_chunks", "_length", "_own")

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._chunks: list[list[T]] = []
        self._own: set[int] = set()
        """Chunks that no snapshot holds."""
        self._length = 0
        for item in items:
            self.append(item)

    def snapshot(self) -> Self:
        """A list that stays as this one is now, and may be written for itself."""
        twin = type(self)()
        twin._chunks, twin._length = list(self._chunks), self._length
        self._own.clear()
        return twin

    def append(self, item: T) -> None:
        place = self._length // CHUNK
        if place == len(self._chunks):
            self._chunks.append([])
            self._own.add(place)
        self._writable(place).append(item)
        self._length += 1

    def pop(self) -> T:
        """Remove the last item, and return it."""
        item = self[-1]
        self.truncate(self._length - 1)
        return item

    def truncate(self, length: int) -> None:
        """Keep the first ``length`` items."""
        if length >= self._length:
            return
        chunks, rest = divmod(length, CHUNK)
        self._own -= set(range(chunks + bool(rest), len(self._chunks)))
        del self._chunks[chunks + bool(rest) :]
        if rest:
            del self._writable(chunks)[rest:]
        self._length = length

    def since(self, start: int) -> Iterator[T]:
        """The items from place ``start`` on."""
        return (self[place] for place in range(max(0, start), self._length))

    def __getitem__(self, place: int) -> T:
        chunk, within = divmod(self._checked(place), CHUNK)
        return self._chunks[chunk][within]

    def __setitem__(self, place: int, item: T) -> None:
        chunk, within = divmod(self._checked(place), CHUNK)
        self._writable(chunk)[within] = item

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self._chunks)

    def _checked(self, place: int) -> int:
        if not -self._length <= place < self._length:
            raise IndexError(f"place {place} of {self._length}")
        return place % self._length

    def _writable(self, place: int) -> list[T]:
        if place not in self._own:
            self._chunks[place] = list(self._chunks[place])
            self._own.add(place)
        return self._chunks[place]


class FirstSeen(Generic[V]):
    """The first value of each key; nothing is taken back. Keys are those of `identity`.

    A snapshot shares what there is, and passes over what came later.
    """

    __slots__ = ("_limit", "_places", "_values")

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        """By the digest of a key, which takes a tenth of the memory."""
        self._values: list[V] = []
        self._limit: int | None = None
        """How many entries a snapshot knows."""

    def snapshot(self) -> Self:
        """What is there now; nothing can be added to it."""
        twin = type(self)()
        twin._places, twin._values, twin._limit = self._places, self._values, len(self)
        return twin

    def add(self, key: Hashable, value: V) -> None:
        """Add ``key``, unless it is there."""
        if self._limit is not None:
            raise TypeError("a snapshot stays as it is")
        known = digest(key)
        if known not in self._places:
            self._values.append(value)  # first: a snapshot in another thread may look it up
            self._places[known] = len(self._values) - 1

    def get(self, key: Hashable) -> V | None:
        place = self._places.get(digest(key))
        return None if place is None or place >= len(self) else self._values[place]

    def __contains__(self, key: object) -> bool:
        return self._places.get(digest(key), len(self)) < len(self)

    def __len__(self) -> int:
        return len(self._values) if self._limit is None else self._limit


class Series(Mapping[int, float]):
    """Values by step, in the order of steps; it is never changed.

    One that follows another shares what that holds, so to add a value at the end costs the same
    however many there are. Otherwise as the dictionary that Optuna expects.
    """

    __slots__ = ("_length", "_steps", "_values")

    def __init__(self, items: Iterable[tuple[int, float]] = ()) -> None:
        pairs = sorted(dict(items).items())
        self._steps: list[int] = [step for step, _ in pairs]
        self._values: list[float] = [value for _, value in pairs]
        self._length = len(pairs)

    def having(self, step: int, value: float) -> Series:
        """These, and ``value`` at ``step``."""
        length = self._length
        if length and step <= self._steps[length - 1]:
            return Series([*self.items(), (step, value)])
        if len(self._steps) > length:  # one that followed this has gone on
            if self._steps[length] == step and _is(self._values[length], value):
                return self._first(length + 1)
            return self._copied().having(step, value)
        self._values.append(value)
        self._steps.append(step)
        return self._first(length + 1)

    def until(self, step: int) -> Series:
        """Those up to ``step``."""
        return self._first(bisect_right(self._steps, step, hi=self._length))

    def _first(self, length: int) -> Series:
        shorter = Series()
        shorter._steps, shorter._values, shorter._length = self._steps, self._values, length
        return shorter

    def _copied(self) -> Series:
        twin = Series()
        twin._steps, twin._values = self._steps[: self._length], self._values[: self._length]
        twin._length = self._length
        return twin

    def __getitem__(self, step: int) -> float:
        place = bisect_left(self._steps, step, hi=self._length)
        if place == self._length or self._steps[place] != step:
            raise KeyError(step)
        return self._values[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self._steps[: self._length])

    def __len__(self) -> int:
        return self._length

    def values(self) -> Any:
        """A list, which is as good as a view of what does not change."""
        return self._values[: self._length]

    def items(self) -> Any:
        """A list, as well."""
        return list(zip(self, self.values(), strict=True))

    def __deepcopy__(self, memo: object) -> Series:
        return self

    def __copy__(self) -> Series:
        return self

    def __repr__(self) -> str:
        return repr(dict(self.items()))


def _is(one: float, other: float) -> bool:
    """Whether they are the same, NaN and the sign of zero included."""
    return one is other or struct.pack("d", one) == struct.pack("d", other)
