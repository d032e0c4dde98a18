"""What a trial has come to: its state and its values, or why it has none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sweep.journal.event import Cause, TrialState
from sweep.journal.state import Trial
from sweep.search.population import EXPLOITED
from sweep.search.result import infinite_win, known, values_of, violations_of
from sweep.spec import StudySpec

STOPPED = "stopped by a user"
"""Why a trial is recorded as pruned that `sweep stop STUDY/TRIAL` has ended."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a trial is recorded as finished."""

    state: TrialState
    reason: str | None
    """Why it has failed, if it has."""
    values: tuple[float, ...] = ()
    """Those of all objectives; none where it has failed."""
    violations: tuple[float, ...] = ()
    """Those of the constraints; none where it has failed, or was pruned before they were known."""
    cause: Cause | None = None
    """What failed it, if it has failed."""

    @classmethod
    def of(
        cls,
        trial: Trial,
        state: TrialState,
        returned: Mapping[str, float],
        spec: StudySpec,
        reason: str | None,
        cause: Cause | None = None,
    ) -> Conclusion:
        """Of a trial that ended in ``state`` for ``reason``; ``cause`` is what failed it.

        Without all objectives it has failed, and so has a completed one that does not say whether
        it keeps the constraints.
        """
        if state is TrialState.FAILED:
            return cls(state, reason, cause=cause)
        values = values_of(spec, trial, returned)
        violations = violations_of(spec, trial, returned)
        if reason in (EXPLOITED, STOPPED):  # for a NaN, maybe: that is what makes way first
            return cls(state, reason, known(values), known(violations))
        if trial.fork is not None and trial.fork.exploits is not None and not trial.reports:
            nothing = f"nothing was left to do after {trial.fork.source}"
            return cls(TrialState.PRUNED, nothing)
        needed = {("metric.name", name): value for name, value in values.items()}
        if state is TrialState.COMPLETE:
            needed |= {
                ("constraints", bound.name): violation
                for bound, violation in zip(spec.bounds, violations.values(), strict=True)
            }
        for (path, name), value in needed.items():
            if value is None:
                missing = _missing(trial, path, name, returned)
                return cls(TrialState.FAILED, missing, cause=Cause.UNREPORTED)
            if math.isnan(value):
                return cls(TrialState.FAILED, f"{name} is NaN", cause=Cause.NAN)
        infinite = infinite_win(spec, values)
        if infinite is not None:
            return cls(TrialState.FAILED, infinite, cause=Cause.NAN)
        return cls(state, reason, known(values), known(violations))


def _missing(trial: Trial, path: str, metric: str, returned: Mapping[str, float]) -> str:
    names = {name for report in trial.reports.values() for name in report.metrics}
    reported = ", ".join(sorted(names | set(returned))) or "nothing"
    if trial.fork is not None and reported == "nothing":
        return (
            f"trial {trial.number} is a fork and reported nothing: nothing was left to do "
            f"after {trial.fork.source}; fork an earlier checkpoint, or give it more epochs"
        )
    return (
        f"{path}: trial {trial.number} finished and never reported {metric!r}; "
        f"it reported {reported}"
    )
