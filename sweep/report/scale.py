"""Scales: where in a drawing a value lies, and which values an axis names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sweep.quantity import duration_text, text

Tick = tuple[float, str]
"""A position and what stands there."""

_DAY = 86400.0
_STEPS_OF_TIME = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    21600,
    43200,
)


class Scale(Protocol):
    """Maps values to pixels."""

    def at(self, value: Any) -> float: ...

    def ticks(self) -> list[Tick]: ...


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers from ``low`` to ``high`` lie between the pixels ``start`` and ``end``.

    What lies beyond is put at the edge.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    label: Callable[[float], str] = text
    count: int = 6
    """About how many ticks."""
    whole: bool = False
    """Whether there is nothing between whole numbers."""

    def at(self, value: Any) -> float:
        low, high, here = self._inner(self.low), self._inner(self.high), self._inner(value)
        share = 0.5 if high <= low else (here - low) / (high - low)
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))

    def _inner(self, value: Any) -> float:
        number = float(value)
        return math.log10(max(number, 1e-300)) if self.log else number

    def ticks(self) -> list[Tick]:
        return [(self.at(value), self.label(value)) for value in self._round_values()]

    def _round_values(self) -> list[float]:
        if self.high <= self.low:
            return [self.low]
        if self.log:
            first, last = math.ceil(self._inner(self.low)), math.floor(self._inner(self.high))
            every = max(1, math.ceil((last - first + 1) / (self.count + 1)))
            powers = [10.0**power for power in range(first, last + 1, every)]
            if len(powers) > 1:
                return powers
            return _multiples(self.low, self.high, self._step()) or [self.low]
        return _multiples(self.low, self.high, self._step())

    def _step(self) -> float:
        rough = (self.high - self.low) / self.count
        if self.label is duration_text and rough >= 1:
            fitting = (float(step) for step in _STEPS_OF_TIME if step >= rough)
            return next(fitting, _DAY * math.ceil(rough / _DAY))
        power = 10.0 ** math.floor(math.log10(max(rough, 1.0) if self.whole else rough))
        return next(power * step for step in (1, 2, 5, 10) if power * step >= rough * 0.999)


def _multiples(low: float, high: float, step: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{step * number:.12g}") for number in range(first, min(last, first + 50) + 1)]


@dataclass(frozen=True, slots=True)
class Names:
    """Values that are names lie at even distances between the pixels ``start`` and ``end``."""

    names: tuple[str, ...]
    start: float
    end: float

    def at(self, value: Any) -> float:
        place = self.names.index(name_of(value)) + 0.5
        return self.start + (self.end - self.start) * place / len(self.names)

    def ticks(self) -> list[Tick]:
        every = math.ceil(len(self.names) / 12)
        return [(self.at(name), shortened(name, 12)) for name in self.names[::every]]


def name_of(value: Any) -> str:
    """A value as a name of `Names`."""
    return text(value)


def shortened(name: str, width: int) -> str:
    """``name``, or its beginning with an ellipsis."""
    return name if len(name) <= width else f"{name[: width - 1]}…"


def finite(values: Iterable[Any]) -> list[float]:
    """The values that can be drawn."""
    return [
        float(value)
        for value in values
        if isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e300
    ]


def scale_of(
    values: Iterable[Any], start: float, end: float, *, log: bool | None = None
) -> Numbers:
    """A scale for measured ``values``.

    Logarithmic where they are positive and span more than three powers of ten (or as ``log``
    says). Else a few that lie far out do not squeeze the others: they are put at the edge.
    """
    known = sorted(finite(values))
    if not known:
        return Numbers(0.0, 1.0, start, end)
    low, high = known[0], known[-1]
    if log is None:
        log = low > 0 and high / low > 1000
    log = log and low > 0
    if not log and len(known) >= 20:
        near, far = known[len(known) // 50], known[-1 - len(known) // 50]
        room = 2 * (far - near)
        low, high = max(low, near - room), min(high, far + room)
    if low == high:
        return Numbers(low - (abs(low) or 1.0) * 0.1, high + (abs(high) or 1.0) * 0.1, start, end)
    if log:
        return Numbers(low, high, start, end, log=True)
    margin = (high - low) * 0.03
    return Numbers(low - margin, high + margin, start, end)


def outside(scale: Numbers, values: Iterable[Any]) -> int:
    """How many of ``values`` were put at the edge."""
    return sum(not scale.low <= value <= scale.high for value in finite(values))


def value_scale(values: Sequence[Any], start: float, end: float, *, log: bool | None) -> Scale:
    """A scale for the values of a parameter: of numbers, or of names."""
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
    if numbers and len(finite(values)) == len(values):
        return scale_of(values, start, end, log=log)
    names = sorted({name_of(each) for each in values})
    return Names(tuple(names), start, end)
