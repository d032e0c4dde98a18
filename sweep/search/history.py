"""What another study has found, as history for the sampler of this one."""

from __future__ import annotations

from typing import Any

from sweep.errors import UsageError
from sweep.journal.event import HistoryAdded, TrialState
from sweep.journal.state import StudyState, Trial
from sweep.search.fitting import fitted
from sweep.spec import StudySpec
from sweep.spec.suggestion import listed


def history_of(source: str, other: StudyState, spec: StudySpec) -> HistoryAdded:
    """The finished trials of ``other`` that fit the space of ``spec``; failed ones taught nothing.

    Args:
        source: what the spec calls the other study.

    Raises:
        UsageError: they do not optimise the same, or have no parameter in common.
    """
    theirs = StudySpec.model_validate(other.spec)
    _check(source, theirs, spec)
    trials: list[dict[str, Any]] = []
    left_out: list[list[Any]] = []
    for trial in other.trials.values():
        if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED) or trial.value is None:
            continue
        try:
            latents = fitted(spec.space, trial.params, spec.defaults)
        except ValueError as error:
            left_out.append([trial.number, str(error)])
        else:
            trials.append(_taken(trial, latents))
    return HistoryAdded(source=source, trials=trials, left_out=left_out)


def _taken(trial: Trial, latents: dict[str, list[Any]]) -> dict[str, Any]:
    valued = [step for step in trial.reports if trial.reports[step].value is not None]
    step = max(valued, default=None)
    return {
        "number": trial.number,
        "state": str(trial.state),
        "params": trial.params,
        "latents": latents,
        "values": [trial.value],
        "report": None if step is None else [step, trial.reports[step].value],
    }


def _check(source: str, theirs: StudySpec, spec: StudySpec) -> None:
    place = f"{spec.name}: warm_start: {source}"
    if theirs.metric != spec.metric:
        raise UsageError(
            f"{place}: its trials {theirs.metric.goal} {theirs.metric.name}, these "
            f"{spec.metric.goal} {spec.metric.name}: their values cannot be compared"
        )
    here, there = ({each.name for each in one.space.dimensions} for one in (spec, theirs))
    if not here & there:
        raise UsageError(
            f"{place}: has none of this study's parameters ({listed(sorted(here))}): "
            f"it has {listed(sorted(there))}"
        )
