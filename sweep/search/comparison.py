"""How the members of a population are compared: who is beaten, by whom, and what those can give.

Only values of one step are held against each other. (An older sweep compared otherwise: see
`sweep.search.rules`.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from sweep.journal.state import Checkpoint, StudyState, Trial
from sweep.search.rules import Rules
from sweep.spec import Goal, Pbt, StudySpec


class Comparison:
    """The values of the members of one study; it holds no state of its own."""

    def __init__(self, method: Pbt, spec: StudySpec) -> None:
        self._method, self._spec = method, spec
        self._size = spec.trials or 0
        self._metric = spec.objective.name
        self._maximize = spec.objective.goal is Goal.MAXIMIZE

    def _is_beaten(
        self, state: StudyState, trial: Trial, value: float, values: Mapping[int, float]
    ) -> bool:
        """Whether who has ``value`` is among the worst, and worse than all of the best."""
        count = self._count(len(values) + 1)
        mine = self._badness(value)
        worse = sum(self._badness(other) > mine for other in values.values())
        if worse >= count:
            return False
        best = self._best(state, trial, values, count)
        beaten = all(self._badness(values[number]) < mine for number in best)
        return beaten and any(self._gives(state, trial, number) for number in best)

    def _ends_of_intervals(self, trial: Trial, until: int) -> Iterator[int]:
        """The steps at which ``trial`` was due up to ``until``, the last one first."""
        begun = None if trial.fork is None else trial.fork.step
        due, before = [], self._round(begun)
        for step, report in sorted(trial.reports.items()):
            if step <= until and report.value is not None and self._round(step) > before:
                due.append(step)
                before = self._round(step)
        return reversed(due)

    def _due(self, trial: Trial, step: int) -> bool:
        """Whether an interval is over that was not at the report before."""
        earlier = (
            report.step
            for report in trial.reports.values()
            if report.step < step and report.value is not None
        )
        begun = None if trial.fork is None else trial.fork.step
        return self._round(step) > self._round(max(earlier, default=begun))

    def _round(self, step: int | None) -> int:
        """How many intervals are over after ``step``, which counts from 0."""
        return 0 if step is None else (step + 1) // self._method.interval

    def _values(self, state: StudyState, step: int, *, without: int) -> dict[int, float]:
        """What is compared at ``step``: the value of each other one at that very step, by number.

        Also of those that are over or were replaced since: each place in the population has one.
        """
        found = {}
        for trial in state.trials.values():
            if trial.number != without and trial.searched and trial.imported is None:
                value = self._value_at(state, trial, step)
                if value is not None:
                    found[trial.number] = value
        return {
            number: value
            for number, value in found.items()
            if not any(later.number in found for later in _successors(state, number))
        }

    def _value_at(self, state: StudyState, trial: Trial, step: int) -> float | None:
        report = trial.reports.get(step)
        return None if report is None else report.value

    def _latest_values(self, state: StudyState, step: int, *, without: int) -> dict[int, float]:
        """Under the older rules: the latest value of each other member at ``step`` or before."""
        found = {}
        for trial in state.running.values():
            if trial.number != without and trial.searched and not is_over(trial):
                value = self._latest_value(trial, step)
                if value is not None:
                    found[trial.number] = value
        return found

    def _latest_value(self, trial: Trial, step: int) -> float | None:
        reported = [
            report.step
            for report in trial.reports.values()
            if report.step <= step and report.value is not None
        ]
        if reported:
            return trial.reports[max(reported)].value
        fork = trial.fork
        if fork is None or fork.step is None or fork.step > step:
            return None
        inherited: Mapping[str, float] = fork.record.get("metrics", {})
        return inherited.get(self._metric)

    def _count(self, members: int) -> int:
        """How many of ``members`` are the worst, and how many the best."""
        return math.floor(members * self._method.quantile + 1e-9)

    def _best(
        self, state: StudyState, trial: Trial, values: Mapping[int, float], count: int
    ) -> list[int]:
        """The best ``count``; of those that can be forked into the place of ``trial``."""
        numbers: Iterable[int] = values
        if state.rules >= Rules.EQUAL_STEPS:
            numbers = [number for number in values if self._gives(state, trial, number)]
        order = sorted(numbers, key=lambda number: (self._badness(values[number]), number))
        return order[:count]

    def _badness(self, value: float) -> tuple[bool, float]:
        """Sorts the best first; nothing is worse than NaN."""
        if math.isnan(value):
            return True, 0.0
        return False, -value if self._maximize else value

    def _gives(self, state: StudyState, trial: Trial, number: int) -> Checkpoint | None:
        """What a fork of trial ``number`` goes on from in the place of ``trial``.

        That is its newest full checkpoint. It may lie before the step at which ``trial`` stands,
        but the place must not have executed more than twice the steps up to there: so in the end it
        has executed at most twice the steps of a whole trial.
        """
        parent = state.trials[number]
        source = self._source(parent)
        if source is None or state.rules < Rules.EQUAL_STEPS:
            return source
        alive = number in state.running and not is_over(parent)
        steps = 0 if source.step is None else source.step + 1
        return source if alive and _spent(state, trial) <= 2 * steps else None

    def _source(self, trial: Trial) -> Checkpoint | None:
        """The newest full checkpoint of ``trial``."""
        full = (each for each in reversed(trial.kept) if each.content == "full")
        return next(full, None)

    def _kept(self, member: Trial) -> dict[int, float]:
        """The values that it has reported, by step, as far as a resume keeps them."""
        source = self._source(member)
        if source is None or source.step is None:
            return {}
        return {
            step: report.value
            for step, report in member.reports.items()
            if report.value is not None and step <= source.step
        }

    def _better(
        self, state: StudyState, replaced: Trial, was: float | None, values: Mapping[int, float]
    ) -> list[tuple[Trial, Checkpoint]]:
        """Those of the best that are better than ``replaced`` was, and what each gives."""
        mine = self._badness(math.nan if was is None else was)
        found = []
        for number in self._best(state, replaced, values, max(1, self._count(len(values) + 1))):
            source = self._gives(state, replaced, number)
            if source is not None and self._badness(values[number]) < mine:
                found.append((state.trials[number], source))
        return found


def _line(state: StudyState, trial: Trial) -> Iterator[Trial]:
    """``trial``, and those that had its place before it."""
    yield trial
    while trial.fork is not None and trial.fork.exploits is not None:
        trial = state.trials[trial.fork.exploits]
        yield trial


def _successors(state: StudyState, number: int) -> Iterator[Trial]:
    """Those that had the place of a trial after it."""
    successor = state.trials[number].successor
    while successor is not None:
        yield state.trials[successor]
        successor = state.trials[successor].successor


def generation(state: StudyState, trial: Trial) -> int:
    """How often the place of ``trial`` was taken."""
    return sum(1 for _ in _line(state, trial)) - 1


def _spent(state: StudyState, trial: Trial) -> int:
    """How many steps the place of ``trial`` has executed, but for what kills took back."""
    return sum(len(each.reports) for each in _line(state, trial))


def is_over(trial: Trial) -> bool:
    """Whether nothing is left to do for a trial but to end."""
    if trial.pruned_at is not None or (trial.step is not None and trial.reports[trial.step].last):
        return True
    return bool(trial.kept) and trial.kept[-1].record.get("kind") == "final"
