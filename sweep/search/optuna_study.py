"""A study as one of Optuna's, so that its plots, importances and dashboards can read it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from sweep.journal.event import TrialState
from sweep.journal.state import StudyState, Trial
from sweep.journal.table import final_metrics, newest_checkpoint
from sweep.search.optuna_range import Range, ranges_of
from sweep.spec import Goal, StudySpec

OptunaStudy = optuna.Study

_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
    TrialState.PAUSED: OptunaState.RUNNING,
    TrialState.RUNNING: OptunaState.RUNNING,
}


def optuna_study(
    state: StudyState, *, name: str | None = None, storage: BaseStorage | None = None
) -> OptunaStudy:
    """All trials of a study that has come to ``state``, in a new study of Optuna's.

    Numbers are the same, and so are params, in the ranges that `ranges_of` gives; a conditional
    one is there where it has a meaning. To Optuna, which knows no paused trial, that is a running
    one. Intermediate values are the objective's; several objectives have none in Optuna. User
    attributes are ``number`` and, where there is one, ``checkpoint`` (of the result), ``parent``,
    ``source``, ``reason``, and ``metrics`` with the last value of each. Times are local ones
    without a zone, as all of Optuna's.

    Args:
        name: of the new study; by default that of the old one.
        storage: where it is made; by default in memory.

    Raises:
        optuna.exceptions.DuplicatedStudyError: ``storage`` has one of that name.
    """
    spec = StudySpec.accepted(state.spec)
    with quiet():
        study = optuna.create_study(
            study_name=name or spec.name,
            storage=storage,
            directions=[
                "maximize" if each.goal is Goal.MAXIMIZE else "minimize" for each in spec.objectives
            ],
        )
        study.set_metric_names([each.name for each in spec.objectives])
        ranges = ranges_of(state)
        study.add_trials(frozen_trial(spec, trial, ranges) for trial in state.trials.values())
    return study


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Optuna says by the way: that a study was made, or is experimental."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def frozen_trial(spec: StudySpec, trial: Trial, ranges: Mapping[str, Range]) -> FrozenTrial:
    """A trial as `optuna_study` has it, with params in ``ranges``; its id is its number."""
    state = _STATES[trial.state]
    values = trial.values or (None if trial.value is None else [trial.value])
    steps: dict[int, float] = {}
    if len(spec.objectives) == 1:
        known = {step: report.value for step, report in sorted(trial.reports.items())}
        steps = {step: value for step, value in known.items() if value is not None}
    violations = zip(spec.constraints, trial.violations, strict=False)
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=state,
        value=None,
        values=values if state in (OptunaState.COMPLETE, OptunaState.PRUNED) else None,
        datetime_start=datetime.fromtimestamp(trial.started),
        datetime_complete=None
        if trial.finished is None
        else datetime.fromtimestamp(trial.finished),
        params={name: ranges[name].value(value) for name, value in trial.params.items()},
        distributions={name: ranges[name].distribution for name in trial.params},
        user_attrs=_attributes(trial),
        system_attrs={f"constraints:{text}": violation for text, violation in violations},
        intermediate_values=steps,
    )


def _attributes(trial: Trial) -> dict[str, Any]:
    fork = trial.fork
    found = {
        "number": trial.number,
        "checkpoint": newest_checkpoint(trial),
        "parent": None if fork is None else fork.parent,
        "source": None if fork is None else fork.source,
        "reason": trial.reason,
        "metrics": final_metrics(trial) or None,
    }
    return {name: value for name, value in found.items() if value is not None}
