"""What a trial has come to: its state and its value, or why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sweep.journal.event import TrialState
from sweep.journal.state import Trial
from sweep.search.population import EXPLOITED
from sweep.search.search import is_objective


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a trial is recorded as finished."""

    state: TrialState
    value: float | None
    reason: str | None
    """Why it has failed, if it has."""
    unreported: bool = False
    """Whether it failed only since it has never reported the metric."""

    @classmethod
    def of(
        cls,
        trial: Trial,
        state: TrialState,
        returned: Mapping[str, float],
        metric: str,
        reason: str | None,
    ) -> Conclusion:
        """Of a trial that ended in ``state`` for ``reason``; without an objective it has failed."""
        if state is TrialState.FAILED:
            return cls(state, None, reason)
        value = objective(trial, metric, returned)
        if is_objective(value):
            return cls(state, value, reason)
        if reason == EXPLOITED:  # for a NaN, maybe: that is what makes way first
            return cls(state, None, reason)
        if trial.fork is not None and trial.fork.exploits is not None and not trial.reports:
            nothing = f"nothing was left to do after {trial.fork.source}"
            return cls(TrialState.PRUNED, None, nothing)
        if value is None:
            missing = _missing_metric(trial, metric, returned)
            return cls(TrialState.FAILED, None, missing, unreported=True)
        return cls(TrialState.FAILED, None, f"{metric} is NaN")


def objective(trial: Trial, metric: str, returned: Mapping[str, float]) -> float | None:
    """The value of a trial: what the function returned, else the last that it reported."""
    if metric in returned:
        return returned[metric]
    values = [
        trial.reports[step].value
        for step in sorted(trial.reports)
        if trial.reports[step].value is not None
    ]
    return values[-1] if values else None


def _missing_metric(trial: Trial, metric: str, returned: Mapping[str, float]) -> str:
    names = {name for report in trial.reports.values() for name in report.metrics}
    known = ", ".join(sorted(names | set(returned))) or "nothing"
    if trial.fork is not None and known == "nothing":
        return (
            f"trial {trial.number} is a fork and reported nothing: nothing was left to do "
            f"after {trial.fork.source}; fork an earlier checkpoint, or give it more epochs"
        )
    return (
        f"metric.name: trial {trial.number} finished and never reported "
        f"{metric!r}; it reported {known}"
    )
