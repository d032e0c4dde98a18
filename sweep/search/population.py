"""Population based training: who makes way, for whom, and who runs next.

Jaderberg et al., Population Based Training of Neural Networks, arXiv 1711.09846, with the
truncation selection of its section 4. Members are asynchronous: none waits for a value of another.
All answers are functions of the state of the study, so a resume and a replay come to the same.

A member is a trial that runs or waits and has something left to do. When it reports the metric
after another ``interval`` of steps, it is held against what all others have reported at that very
step; and where it is ahead, at the last end of an interval to which all have come. Where it is
among the worst ``quantile`` and worse than the best that can be forked, it is ended, and a fork off
one of these takes its place. A place executes at most twice the steps of a trial.

Where members make room for each other, a verdict waits until it is a member's turn again: by then
those behind it have come to its step. (An older sweep compared otherwise: `sweep.search.rules`.)
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Any

from sweep.journal.state import Checkpoint, StudyState, Trial
from sweep.search.comparison import Comparison, generation, is_over
from sweep.search.define import space_of
from sweep.search.exploration import explored
from sweep.search.rules import Rules

GENERATIONS = 1000
"""So often a place is taken at most. Who does not go on where its checkpoint stood begins anew with
each fork, and would never come to an end."""

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


class Population(Comparison):
    """The rules of one study; it holds no state of its own."""

    ordered = False
    """Whether members wait for each other (`sweep.search.rounds`)."""

    # ---- verdicts

    def judge(
        self, state: StudyState, trial: Trial, step: int, value: float, *, last: bool
    ) -> bool | None:
        """Whether ``trial`` makes way at ``step``; None where the question does not arise.

        ``last``: it ends by itself after this step. A verdict that the journal holds for the step
        is given again. One that waits for others (`awaits_verdict`) is None, too.
        """
        if step in trial.verdicts:
            return trial.verdicts[step]
        if last or not self._due(trial, step) or self._defers(state, trial, step):
            return None
        if state.rules < Rules.EQUAL_STEPS:
            values = self._latest_values(state, step, without=trial.number)
            return self._is_beaten(state, trial, value, values)
        return self._makes_way(state, trial, step, value)

    def unjudged(self, state: StudyState) -> list[int]:
        """Numbers of the members that are to be judged now: none, since nobody waits for all."""
        return []

    def awaits_verdict(self, state: StudyState, trial: Trial) -> bool:
        """Whether ``trial``, which waits, is to be judged before it may run again."""
        return self._unjudged_at(state, trial) is not None

    def judgement(self, state: StudyState, trial: Trial) -> tuple[int, bool] | None:
        """The verdict on a member that is to be judged now, and the step at which it stands."""
        step = self._unjudged_at(state, trial)
        if step is None:
            return None
        return step, self._makes_way(state, trial, step, self._kept(trial)[step])

    def _defers(self, state: StudyState, trial: Trial, step: int) -> bool:
        """Whether the verdict waits until ``trial`` is to run again, as it leaves its slot now.

        By then those will have come to ``step`` for which it makes room.
        """
        if state.rules < Rules.EQUAL_STEPS or not self._makes_room_at(state, trial, step):
            return False
        return not self._have_all_come(state, trial, step)

    def _have_all_come(self, state: StudyState, trial: Trial, step: int) -> bool:
        """Whether no other member is still to report at ``step``, as far as one can tell."""
        return state.asked >= self._size and not any(
            self._will_come(other, step)
            for other in state.running.values()
            if other.number != trial.number
        )

    def _will_come(self, other: Trial, step: int) -> bool:
        if not other.searched or is_over(other) or step in other.reports:
            return False
        begun = None if other.fork is None else other.fork.step
        return max(other.reports, default=-1 if begun is None else begun) < step

    def _unjudged_at(self, state: StudyState, trial: Trial) -> int | None:
        """The step at which a member waits and was not judged, if so."""
        if state.rules < Rules.EQUAL_STEPS or trial.executing or is_over(trial):
            return None
        step = max(self._kept(trial), default=None)
        if step is None or step in trial.verdicts or not self._due(trial, step):
            return None
        return step

    def _makes_way(self, state: StudyState, trial: Trial, step: int, value: float) -> bool:
        """Whether ``trial`` is beaten at ``step``, or where all have come whom it is ahead of."""
        if generation(state, trial) >= GENERATIONS:
            return False
        compared = {step: value}
        for earlier in self._ends_of_intervals(trial, step - 1):
            if self._have_all_come(state, trial, earlier):
                compared[earlier] = trial.reports[earlier].value or 0.0
                break
        return any(
            self._is_beaten(state, trial, was, self._values(state, at, without=trial.number))
            for at, was in compared.items()
        )

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
        without = replaced.number
        if state.rules < Rules.EQUAL_STEPS:
            was = self._latest_value(replaced, step)
            return self._better(
                state, replaced, was, self._latest_values(state, step, without=without)
            )
        found = (
            self._better(
                state,
                replaced,
                replaced.reports[at].value,
                self._values(state, at, without=without),
            )
            for at in self._ends_of_intervals(replaced, step)
        )
        return next(filter(None, found), [])

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
        """Whether ``trial``, which waits, may run: it need not wait for others, but was judged."""
        return not self.awaits_verdict(state, trial)

    def makes_room(self, state: StudyState, trial: Trial, step: int, verdict: bool | None) -> bool:
        """Whether ``trial``, which has reported at ``step``, is to save and to wait.

        At the end of an interval it is, where another member waits for a slot whose turn is before
        its own, or is still to begin.
        """
        if verdict is None and state.rules >= Rules.EQUAL_STEPS:
            due = self._due(trial, step) and not trial.reports[step].last
            return due and self._makes_room_at(state, trial, step)
        return verdict is False and self._makes_room_at(state, trial, step)

    def _makes_room_at(self, state: StudyState, trial: Trial, step: int) -> bool:
        own = self._round(step), trial.number
        waiting = (other for other in state.running.values() if not other.executing)
        return state.asked < self._size or any(self.turn(other) < own for other in waiting)
