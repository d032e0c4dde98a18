"""What trials have reported, and how they stand against each other at a step.

A trial stands at a step with the value that it has reported there, or with what lies on the line
between its reports before and after it. Where it has no report on one of the two sides, it is not
compared: a value of an earlier or later step would say something else.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Mark(NamedTuple):
    """A step at which the trials of a bracket are compared."""

    bracket: int
    step: int


class Standing(NamedTuple):
    """Where a trial stands at a mark: the best first, of equals the first trial, NaN last."""

    unknown: bool
    badness: float
    trial: int


@dataclass(slots=True)
class _Curve:
    """The reports of a trial, the steps in order. Those up to ``counted`` count by now."""

    bracket: int
    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    counted: int = 0

    def at(self, step: int) -> float | None:
        """The value at ``step``; None where it lies outside of what was reported."""
        place = bisect_left(self.steps, step, 0, self.counted)
        if place == self.counted:
            return None
        after = self.values[place]
        if self.steps[place] == step:
            return after
        if place == 0:
            return None
        before = self.steps[place - 1], self.values[place - 1]
        return between(step, before, (self.steps[place], after))


def between(step: int, before: tuple[int, float], after: tuple[int, float]) -> float:
    """The value at ``step`` on the line between two reports (step, value).

    Where one of them is not finite, that is the value.
    """
    (begin, old), (end, new) = before, after
    if not (math.isfinite(old) and math.isfinite(new)):
        return old if math.isfinite(new) else new
    share = (step - begin) / (end - begin)
    return old * (1 - share) + new * share


class Curves:
    """The curves of the trials of a study, and the standings at the marks that were asked for.

    Attributes:
        sign: 1.0 where less is better, and -1.0 where more is; settled before anything is reported.
    """

    def __init__(self) -> None:
        self.sign = 1.0
        self._curves: dict[int, _Curve] = {}
        self._marks: dict[int, list[int]] = {}
        """The steps of the marks of each bracket, in order."""
        self._standings: dict[Mark, list[Standing]] = {}

    def report(self, trial: int, bracket: int, step: int, value: float) -> None:
        """A trial has reported; it does not count yet. A step that was reported before stays so."""
        curve = self._curves.setdefault(trial, _Curve(bracket))
        if not curve.steps or step > curve.steps[-1]:
            curve.steps.append(step)
            curve.values.append(value)

    def forget(self, trial: int) -> None:
        """A trial begins anew: it has reported nothing."""
        self.count(trial, 0)
        self._curves.pop(trial, None)

    def reports(self, trial: int) -> int:
        """How many reports of a trial are known."""
        return len(self._curves[trial].steps) if trial in self._curves else 0

    def count(self, trial: int, reports: int) -> None:
        """Have the first so many ``reports`` of a trial count, and no others."""
        curve = self._curves.get(trial)
        if curve is None:
            return
        fewer, more = sorted((curve.counted, reports))
        adds = reports > curve.counted
        curve.counted = more
        for mark in self._passed(curve, fewer, more):
            standing = self._standing(trial, curve, mark.step)
            if standing is not None and adds:
                insort(self._standings[mark], standing)
            elif standing is not None:
                self._standings[mark].remove(standing)
        curve.counted = reports

    def count_none(self) -> None:
        """Have no report count any more."""
        self._standings, self._marks = {}, {}
        for curve in self._curves.values():
            curve.counted = 0

    def standings(self, mark: Mark) -> list[Standing]:
        """All that can be compared at a mark, the best first."""
        if mark not in self._standings:
            insort(self._marks.setdefault(mark.bracket, []), mark.step)
            found = (
                self._standing(trial, curve, mark.step)
                for trial, curve in self._curves.items()
                if curve.bracket == mark.bracket
            )
            self._standings[mark] = sorted(each for each in found if each is not None)
        return self._standings[mark]

    def _passed(self, curve: _Curve, fewer: int, more: int) -> Iterator[Mark]:
        """The marks that a curve covers with ``more`` reports, but not with ``fewer``."""
        if fewer == more:
            return
        marks = self._marks.get(curve.bracket, [])
        first = bisect_left(marks, curve.steps[fewer - 1] + 1 if fewer else curve.steps[0])
        for step in marks[first : bisect_left(marks, curve.steps[more - 1] + 1)]:
            yield Mark(curve.bracket, step)

    def _standing(self, trial: int, curve: _Curve, step: int) -> Standing | None:
        value = curve.at(step)
        if value is None:
            return None
        unknown = math.isnan(value)
        return Standing(unknown, 0.0 if unknown else self.sign * value, trial)
