"""A study of Optuna's in the terms of this package."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from sweep.errors import UsageError
from sweep.journal.event import TrialState
from sweep.quantity import counted
from sweep.search.found_space import FoundSpace
from sweep.search.imported import ImportedReport, ImportedStudy, ImportedTrial
from sweep.search.optuna_space import params_found, space_found
from sweep.search.optuna_study import OptunaStudy
from sweep.spec.constraint import Constraint

_STATES = {
    OptunaState.COMPLETE: TrialState.COMPLETE,
    OptunaState.PRUNED: TrialState.PRUNED,
    OptunaState.FAIL: TrialState.FAILED,
}
_OURS = {"number", "parent"}
"""Numbers among the user attributes that `optuna_study` writes, and that are no metrics."""


def imported_study(study: OptunaStudy, metrics: Sequence[str] = ()) -> ImportedStudy:
    """What is in ``study``.

    Numbers among the user attributes are metrics here; the others are left out. A constraint has a
    metric, too: how much it is exceeded, unless it is called as one of ours.

    Args:
        metrics: what the objectives are called here; by default as there, where few have a name.

    Raises:
        UsageError: no trial is over, a parameter has a choice that JSON does not know, or the
            metrics are not one for each objective.
    """
    all_ = study.get_trials(deepcopy=False)
    over = [trial for trial in all_ if trial.state in _STATES]
    if not over:
        raise UsageError(f"{study.study_name}: none of its {len(all_)} trials is over")
    try:
        space = space_found(over)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{study.study_name}: a choice is {error}, which YAML has no word for"
        ) from (error)
    if not space.parameters:
        raise UsageError(f"{study.study_name}: no trial has a parameter")
    objectives = list(metrics) or _objectives(study, space)
    if len(objectives) != len(study.directions):
        raise UsageError(
            f"{study.study_name}: has {counted(len(study.directions), 'objective')}; name as many "
            "metrics"
        )
    constraints = _constraints(over, [*objectives, *space.parameters])
    goals = [
        "maximize" if each == StudyDirection.MAXIMIZE else "minimize" for each in study.directions
    ]
    content = {
        "name": study.study_name,
        "method": "tpe",
        "metric": [
            {"name": name, "goal": goal} for name, goal in zip(objectives, goals, strict=True)
        ],
        "constraints": [str(each) for each in constraints.values()],
        "parameters": space.parameters,
        "trials": len(over),
    }
    trials = [_imported(trial, objectives, constraints, space) for trial in over]
    notes = [*space.notes, *([] if metrics or study.metric_names else [_unnamed(objectives)])]
    return ImportedStudy(content, trials, len(all_) - len(over), notes)


def _unnamed(objectives: Sequence[str]) -> str:
    named = ",".join(["NAME"] * len(objectives))
    return (
        f"what is optimised has no name there and is {' and '.join(objectives)} here: the program "
        f"must report it so, or import with --metric {named}"
    )


def _objectives(study: OptunaStudy, space: FoundSpace) -> list[str]:
    count = len(study.directions)
    names = study.metric_names or (
        ["value"] if count == 1 else [f"value_{i}" for i in range(count)]
    )
    return [name if name not in space.parameters else f"{name}_value" for name in names]


def _constraints(trials: Sequence[FrozenTrial], taken: Sequence[str]) -> dict[str, Constraint]:
    """Each constraint by the name that it has in Optuna."""
    found: dict[str, Constraint] = {}
    for name in dict.fromkeys(name for trial in trials for name in trial.constraints):
        try:
            found[name] = Constraint.parse(name)
        except ValueError:
            plain = "constraint_" + re.sub(r"[^\w.-]+", "_", name)
            found[name] = Constraint(plain if plain not in taken else f"{plain}_", True, 0.0)
    return found


def _imported(
    trial: FrozenTrial,
    objectives: Sequence[str],
    constraints: Mapping[str, Constraint],
    space: FoundSpace,
) -> ImportedTrial:
    values = sorted(trial.intermediate_values.items()) if len(objectives) == 1 else []
    metrics = _measured(trial.user_attrs)
    for name, violation in trial.constraints.items():
        bound = constraints[name]
        metrics[bound.name] = bound.bound + (violation if bound.upper else -violation)
    metrics |= dict(zip(objectives, map(float, trial.values or ()), strict=False))
    finished = trial.datetime_complete.timestamp() if trial.datetime_complete else time.time()
    started = trial.datetime_start.timestamp() if trial.datetime_start else finished
    finished = max(started, finished)
    return ImportedTrial(
        name=str(trial.number),
        state=_STATES[trial.state],
        params=params_found(space, trial),
        metrics=metrics if trial.state != OptunaState.FAIL else {},
        reports=[ImportedReport(step, finished, {objectives[0]: value}) for step, value in values],
        started=started,
        finished=finished,
        measured=trial.state != OptunaState.COMPLETE or set(trial.constraints) == set(constraints),
    )


def _measured(attributes: Mapping[str, Any]) -> dict[str, float]:
    own = attributes.get("metrics")
    known = {name: value for name, value in attributes.items() if name not in _OURS}
    known |= own if isinstance(own, dict) else {}
    return {
        str(name): float(value)
        for name, value in known.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
