"""Reports, and the verdicts on them: whether a trial goes on, is pruned, paused, or makes room."""

from __future__ import annotations

import logging
from typing import Any

from sweep.driver.logbook import Logbook
from sweep.driver.plan import Limits
from sweep.journal.event import TrialJudged, TrialPromoted, TrialReported
from sweep.journal.state import StudyState, Trial
from sweep.search.search import Search
from sweep.spec import StudySpec
from sweep.spec.suggestion import closest, listed
from sweep.trial.message import Reported, Verdict

_log = logging.getLogger("sweep")


def reports_metric(state: StudyState) -> bool:
    """Whether any trial has come to a value of the metric, or has reported one."""
    return any(
        trial.value is not None or any(each.value is not None for each in trial.reports.values())
        for trial in state.trials.values()
    )


class Bench:
    """Judges the trials of one study. Every verdict is recorded with the report or after it.

    Attributes:
        making_room: members of a population that were told to wait for others, and save before.
    """

    def __init__(self, spec: StudySpec, search: Search, logbook: Logbook, limits: Limits) -> None:
        self._spec, self._search, self._logbook, self._limits = spec, search, logbook, limits
        self.making_room: set[int] = set()
        self._looked_for_metric = False

    def reported(self, trial: Trial, message: Reported) -> Verdict | None:
        """Record a report. The verdict, where the attempt waits for one."""
        value = message.metrics.get(self._spec.objective.name)
        if not self._looked_for_metric:
            self._look_for_metric(trial, message)
        pruned_at = trial.pruned_at
        judged = value is not None and self.hears(trial)
        late = pruned_at is not None and message.step > pruned_at
        if late and trial.told_to_end == trial.attempts:
            # Sent before the verdict arrived. What comes before it in a later attempt is heard.
            return Verdict.PRUNE if judged else None
        prune: bool | None = None
        wrote: dict[str, Any] = {}
        population = self._limits.population
        if value is not None and population is not None:
            last = message.last
            prune = population.judge(self._logbook.state, trial, message.step, value, last=last)
        elif value is not None and (self._search.prunes or message.step in trial.verdicts):
            prune, wrote = self._search.judge(trial, message.step, value)
        rung = None if value is None else self._search.promotion.rung(trial, message.step)
        self._logbook.record(
            TrialReported(
                trial=trial.number,
                attempt=trial.attempts,
                step=message.step,
                value=value,
                metrics=message.metrics,
                prune=prune,
                wrote=wrote,
                last=message.last,
                rung=rung,
            )
        )
        if rung is not None and self._search.promotion.at_once(trial.number):
            self._logbook.record(TrialPromoted(trial=trial.number, rung=rung))
        if not judged:
            return None
        if prune:
            return Verdict.PRUNE
        if population is not None and population.makes_room(
            self._logbook.state, trial, message.step, prune
        ):
            self.making_room.add(trial.number)
            return Verdict.YIELD
        held = trial.held_at
        late = held is not None and message.step >= trial.rungs[held]
        return Verdict.PAUSE if late else Verdict.CONTINUE

    def _look_for_metric(self, trial: Trial, message: Reported) -> None:
        """Say at the first report without the metric that it may be called otherwise, once."""
        self._looked_for_metric = True
        names = [each.name for each in self._spec.objectives]
        missing = [name for name in names if name not in message.metrics]
        if not missing or reports_metric(self._logbook.state):
            return
        near = closest(missing[0], message.metrics)
        hint = "" if near is None else f"; did you mean {near}?"
        _log.warning(
            "%s: trial %d has reported %s, but not %s, which metric names%s (a trial that ends "
            "without a report of it, and does not return it, fails)",
            self._spec.name,
            trial.number,
            listed(sorted(message.metrics)) if message.metrics else "nothing",
            listed(missing),
            hint,
        )

    def hears(self, trial: Trial) -> bool:
        """Whether an attempt of ``trial`` waits for an answer to each report of the objective."""
        decided = trial.pruned_at is not None or trial.held_at is not None
        return self._search.judges or decided

    def judge(self, number: int) -> None:
        """Record the verdict on a member of the population that waits for it."""
        state, population = self._logbook.state, self._limits.population
        judged = None if population is None else population.judgement(state, state.trials[number])
        if judged is not None:
            step, prune = judged
            self._logbook.record(TrialJudged(trial=number, step=step, prune=prune))
