"""Population based training: who makes way, for whom, and who runs next.

Jaderberg et al., Population Based Training of Neural Networks, arXiv 1711.09846, with the
truncation selection of its section 4. Members are asynchronous: none waits for a value of another.
All answers are functions of the state of the study, so a resume and a replay come to the same.

A member is a trial that runs or waits and has something left to do. When it reports the metric
after another ``interval`` of steps, it is held against the latest value of each other member at
that step or before. (That of a fork which has reported nothing yet is the one that its checkpoint
contains.) Where it is among the worst ``quantile`` and worse than all of the best, it is ended, and
a fork off one of the best takes its place.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweep.journal.state import Checkpoint, StudyState, Trial
from sweep.search.define import space_of
from sweep.search.exploration import explored
from sweep.spec import Goal, Pbt, StudySpec

DRAWS = 20
"""So often parameters are drawn that nobody who went on from the same checkpoint has."""

EXPLOITED = "exploited"
"""Why a member is recorded as pruned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Succession:
    """A trial that takes the place of ``exploits``: it goes on from ``source`` of ``parent``."""

    exploits: int
    parent: int
    source: str
    params: dict[str, Any]


class Population:
    """The rules of one study; it holds no state of its own."""

    ordered = False
    """Whether members wait for each other (`sweep.search.rounds`)."""

    def __init__(self, method: Pbt, spec: StudySpec) -> None:
        self._method, self._spec = method, spec
        self._size = spec.trials or 0
        self._metric = spec.objective.name
        self._maximize = spec.objective.goal is Goal.MAXIMIZE

    # ---- verdicts

    def judge(
        self, state: StudyState, trial: Trial, step: int, value: float, *, last: bool
    ) -> bool | None:
        """Whether ``trial`` makes way at ``step``; None where the question does not arise.

        ``last``: it ends by itself after this step. A verdict that the journal holds for the step
        is given again.
        """
        if step in trial.verdicts:
            return trial.verdicts[step]
        if last or not self._due(trial, step):
            return None
        return self._makes_way(state, self._values(state, step, without=trial.number), value)

    def unjudged(self, state: StudyState) -> list[int]:
        """Numbers of the members that are to be judged now: none, since each was as it reported."""
        return []

    def judgement(self, state: StudyState, trial: Trial) -> tuple[int, bool] | None:
        """The verdict on a member that is to be judged now, and the step at which it stands."""
        return None

    def _makes_way(self, state: StudyState, values: Mapping[int, float], value: float) -> bool:
        """Whether who has ``value`` is among the worst, and worse than all of the best."""
        count = self._count(len(values) + 1)
        mine = self._badness(value)
        worse = sum(self._badness(other) > mine for other in values.values())
        if worse >= count:
            return False
        best = self._best(values, count)
        beaten = all(self._badness(values[number]) < mine for number in best)
        return beaten and any(self._source(state.trials[number]) for number in best)

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
        """The latest value of each other member at ``step`` or before, by number."""
        found = {}
        for trial in state.running.values():
            if trial.number != without and trial.searched and not is_over(trial):
                value = self._value(trial, step)
                if value is not None:
                    found[trial.number] = value
        return found

    def _value(self, trial: Trial, step: int) -> float | None:
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

    def _best(self, values: Mapping[int, float], count: int) -> list[int]:
        order = sorted(values, key=lambda number: (self._badness(values[number]), number))
        return order[:count]

    def _badness(self, value: float) -> tuple[bool, float]:
        """Sorts the best first; nothing is worse than NaN."""
        if math.isnan(value):
            return True, 0.0
        return False, -value if self._maximize else value

    def _source(self, trial: Trial) -> Checkpoint | None:
        """What a fork of ``trial`` goes on from: its newest full checkpoint."""
        full = (each for each in reversed(trial.kept) if each.content == "full")
        return next(full, None)

    # ---- successions

    def vacant(self, state: StudyState) -> list[int]:
        """Numbers of members that made way, and whose places can be taken now."""
        return [
            trial.number
            for trial in state.trials.values()
            if trial.reason == EXPLOITED and self._parents(state, trial)
        ]

    def succession(self, state: StudyState, number: int) -> Succession | None:
        """Who takes the place of trial ``number``; None where nobody can.

        The parent is drawn among the best at the step at which the trial made way, of those that
        are better than it was. The parameters are not to be those of the parent, nor of another
        fork of that checkpoint, which would train alike. The draws are seeded with the number of
        the trial that begins.

        Raises:
            ProgramError: a space function raised.
        """
        parents = self._parents(state, state.trials[number])
        if not parents:
            return None
        digest = hashlib.sha256(f"exploit:{self._spec.seed}:{len(state.trials)}".encode()).digest()
        chance = random.Random(int.from_bytes(digest[:8], "big")).random
        parent, source = parents[int(chance() * len(parents))]
        space = space_of(self._spec, state.project)
        for _ in range(DRAWS):
            params = explored(
                space,
                parent.params,
                factors=self._method.factors,
                resample=self._method.resample,
                chance=chance,
            )
            twin = state.fork_of(parent.number, source.id, params)
            if twin is None and params != parent.params:
                break
        return Succession(exploits=number, parent=parent.number, source=source.id, params=params)

    def _parents(self, state: StudyState, replaced: Trial) -> list[tuple[Trial, Checkpoint]]:
        step = replaced.pruned_at
        # Others may have been pruned when the study had another method.
        if step is None or replaced.reason != EXPLOITED or replaced.successor is not None:
            return []
        was = self._value(replaced, step)
        mine = self._badness(math.nan if was is None else was)
        values = self._values(state, step, without=replaced.number)
        found = []
        for number in self._best(values, max(1, self._count(len(values) + 1))):
            source = self._source(state.trials[number])
            if source is not None and self._badness(values[number]) < mine:
                found.append((state.trials[number], source))
        return found

    # ---- turns

    def turn(self, trial: Trial) -> tuple[int, int]:
        """Sorts waiting members, the first to run first: those that are furthest behind.

        What counts is what they have saved, so that a kill changes nothing. One that needs no more
        than to end comes before all others.
        """
        if is_over(trial):
            return -1, trial.number
        source = self._source(trial)
        return self._round(None if source is None else source.step), trial.number

    def may_run(self, state: StudyState, trial: Trial) -> bool:
        """Whether ``trial``, which waits, need not wait for others: no member has to."""
        return True

    def makes_room(
        self, state: StudyState, trial: Trial, step: int, verdict: bool | None, *, asks: bool
    ) -> bool:
        """Whether ``trial``, which has reported at ``step``, is to save and to wait.

        At the end of an interval it is, where another member waits for a slot whose turn is before
        its own. ``asks``: members are left that have not begun.
        """
        if verdict is not False:
            return False
        own = self._round(step), trial.number
        waiting = (other for other in state.running.values() if not other.executing)
        return asks or any(self.turn(other) < own for other in waiting)


def is_over(trial: Trial) -> bool:
    """Whether nothing is left to do for a trial but to end."""
    if trial.pruned_at is not None or (trial.step is not None and trial.reports[trial.step].last):
        return True
    return bool(trial.kept) and trial.kept[-1].record.get("kind") == "final"
