"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-=+*#"

_WIDE = 10.0
"""Values of one sign that span so many times the smallest are drawn by their logarithms."""


def sparkline(
    values: Sequence[float | None], *, best_is_least: bool = False, levels: str = BLOCKS
) -> str:
    """A character for each value, higher where it is better; a blank where there is none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return " " * len(values)
    wide = min(known) * max(known) > 0 and max(map(abs, known)) > _WIDE * min(map(abs, known))
    # Of negative values the logarithm of the size falls where the value rises.
    upside_down = best_is_least != (wide and known[0] < 0)
    most = max(map(abs, known)) or 1.0  # the span in parts of it: no float may hold the whole
    heights = [math.log(abs(value)) if wide else value / most for value in known]
    low, high = min(heights), max(heights)
    drawn = iter(heights)
    return "".join(
        _level(next(drawn), low, high, upside_down, levels)
        if value is not None and math.isfinite(value)
        else " "
        for value in values
    )


def _level(height: float, low: float, high: float, upside_down: bool, levels: str) -> str:
    if low == high:
        return levels[len(levels) // 2]
    share = (height - low) / (high - low)
    share = 1 - share if upside_down else share
    return levels[min(int(share * len(levels)), len(levels) - 1)]


def thinned(values: Sequence[_T], count: int) -> list[_T]:
    """At most ``count`` of ``values``, evenly spread, the last one among them."""
    size = min(count, len(values))
    return [values[(place + 1) * len(values) // size - 1] for place in range(size)]
