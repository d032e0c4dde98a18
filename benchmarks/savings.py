"""What promotion saves: epochs until a search has found a good value, with ``asha`` and without.

The learning curves are real, see ``curves.py``. Four slots train an epoch each in turn; what gets a
free slot is what the planner of `sweep` says. All epochs count, also those of trials that are
paused or in flight; a value is found when a trial is finished that has come to it after its 27
epochs. The values to find are the best of 50 and of 100 trials that are trained to their ends: the
median over the seeds, for each sampler its own.

How large the table is matters to TPE: with ``asha`` a search asks several times as many
configurations from the same epochs, and TPE comes back to those that it knows. The table has one
training of each, so that brings nothing, and copies of a quick learner crowd a rung. On one of 972
configurations half of the seeds never found with ``asha`` what they were to find; the random search
needs a third or less on either.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import curves
import numpy as np
from study import Study, places, spec_of

from sweep.driver.plan import Ask, Dispatch, Limits, Promote, plan

SLOTS = 4
SAMPLERS = ("tpe", "random")
ASHA: Mapping[str, Any] = {
    "type": "asha",
    "reduction_factor": 3,
    "max_resource": curves.EPOCHS,
}
MARKS = (50, 100)
SHOWN = 50 * curves.EPOCHS
"""Epochs that every search spends, found or not."""
MOST = 150 * curves.EPOCHS
"""Epochs that a search spends at most; one that has not found a value counts as if it did then."""


@dataclass(frozen=True)
class LearningCurves:
    values: Mapping[str, Sequence[Any]]
    losses: np.ndarray
    """(configurations, epochs)"""

    @classmethod
    def read(cls, file: Path) -> LearningCurves:
        """They are trained first where the file is not there."""
        if not file.exists():
            print(f"{file}: training the learning curves, once", flush=True)
            curves.make(file)
        return cls(curves.SPACE, curves.read(file))

    def of(self, params: Mapping[str, Any]) -> list[float]:
        """The loss after each epoch."""
        shape = [len(each) for each in self.values.values()]
        found: list[float] = self.losses[
            np.ravel_multi_index(places(self.values, params), shape)
        ].tolist()
        return found


@dataclass(frozen=True)
class Trace:
    """The trials that were finished, in turn."""

    epochs: list[int] = field(default_factory=list)
    """That all trials had spent by then."""
    losses: list[float] = field(default_factory=list)
    """NaN for one that failed."""

    def best(self, trials: int) -> float:
        """Of the first ones."""
        return min(loss for loss in self.losses[:trials] if not math.isnan(loss))

    def best_after(self, epochs: Sequence[int]) -> list[float]:
        """The best loss when so many were spent; NaN before the first trial was finished."""
        best = np.fmin.accumulate([math.nan, *self.losses])
        return [float(best[bisect_right(self.epochs, spent)]) for spent in epochs]

    def until(self, target: float) -> int | None:
        """Epochs spent until a loss of ``target`` at most; None where there is none."""
        found = (n for n, loss in zip(self.epochs, self.losses, strict=True) if loss <= target)
        return next(found, None)


class Slots:
    """Trials of a study in virtual time."""

    def __init__(
        self, table: LearningCurves, sampler: str, seed: int, terminate: Mapping[str, Any] | None
    ) -> None:
        spec = spec_of(table.values, sampler, seed, trials=MOST, early_terminate=terminate)
        self.table, self.study, self.limits = table, Study(spec), Limits.of(spec)
        self.running: dict[int, list[float]] = {}
        self.trace, self.epochs = Trace(), 0

    def advance(self) -> None:
        """Every slot trains an epoch."""
        self._fill()
        for number, losses in list(self.running.items()):
            step = len(self.study.state.trials[number].reports)
            self.epochs += 1
            paused = self.study.report(number, step, losses[step])
            ended = step == curves.EPOCHS - 1
            if ended:
                self.study.finish(number, losses[step])
                self.trace.epochs.append(self.epochs)
                self.trace.losses.append(losses[step])
            if paused or ended:
                del self.running[number]

    def _fill(self) -> None:
        """Give free slots away."""
        state = self.study.state
        while len(self.running) < SLOTS:
            candidate = self.study.search.promotion.next(
                exhausted=self.study.state.asked >= self.limits.total
            )
            match plan(state, SLOTS - len(self.running), self.limits, 0.0, candidate)[0]:
                case Ask():
                    self.study.ask()
                case Promote(trial=number):
                    self.study.promote(number)
                case Dispatch(trial=number):
                    self.study.dispatch(number)
                    self.running[number] = self.table.of(state.trials[number].params)
                case other:
                    raise ValueError(f"nothing here takes {other}")


def search(
    table: LearningCurves,
    sampler: str,
    seed: int,
    terminate: Mapping[str, Any] | None,
    target: float,
) -> Trace:
    """Of `SHOWN` epochs, and further until ``target`` is found, if it is within `MOST`."""
    slots = Slots(table, sampler, seed, terminate)
    while slots.epochs < SHOWN or (slots.epochs < MOST and slots.trace.until(target) is None):
        slots.advance()
    return slots.trace


@dataclass(frozen=True)
class Comparison:
    """The searches of one sampler, by seed."""

    whole: list[Trace]
    some: list[Trace]
    """With promotion."""
    targets: Mapping[int, float]
    """What to find, by the number of trials that find it."""


def compare(table: LearningCurves, sampler: str, seeds: int) -> Comparison:
    never = -math.inf
    whole = [search(table, sampler, seed, None, never) for seed in range(seeds)]
    targets = {mark: statistics.median(trace.best(mark) for trace in whole) for mark in MARKS}
    hardest = min(targets.values())
    some = [search(table, sampler, seed, ASHA, hardest) for seed in range(seeds)]
    return Comparison(whole, some, targets)


HEADER = (
    "sampler best of     loss without   asha  ratio  by seed  missed\n"
    "(medians and their ratio, the goal is at most 0.5; the median of the seeds' own ratios; how "
    "many did not find it, without/asha)"
)


def rows(sampler: str, found: Comparison) -> Iterator[str]:
    """A line for each value to find."""
    for mark, target in found.targets.items():
        whole, some = (
            [trace.until(target) or MOST for trace in each] for each in (found.whole, found.some)
        )
        ratios = [one / other for one, other in zip(some, whole, strict=True)]
        middle, by_seed = statistics.median(some) / statistics.median(whole), np.median(ratios)
        missed = "/".join(str(each.count(MOST)) for each in (whole, some))
        yield (
            f"{sampler:7} {mark:7} {target:8.4f} {statistics.median(whole):7.0f} "
            f"{statistics.median(some):6.0f} {middle:6.2f} {by_seed:8.2f} {missed:>7}"
        )
