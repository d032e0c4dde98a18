"""`sweep best`: the best trials of a study."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from sweep.cli.output import Output, duration_text
from sweep.cli.place import find_begun, read_study
from sweep.cli.standing import (
    counts_text,
    searched_names,
    status_of,
    values_of,
)
from sweep.driver.summary import trial_record
from sweep.errors import StudyNotFoundError
from sweep.journal.event import TrialState
from sweep.journal.state import StudyState, Trial
from sweep.journal.table import final_metrics, newest_checkpoint
from sweep.spec import Goal, StudySpec
from sweep.spec.dump import dump_values

COUNT = 5
"""How many of the best trials are listed where nobody says; a Pareto front is listed whole."""


def best(store: Path, name: str, count: int | None, out: Output) -> None:
    """The best completed trials that keep the constraints; of several objectives the front."""
    paths = find_begun(store, name)
    spec, state = read_study(paths)
    ranked = state.pareto[:count] if state.several else rank(spec, state)[: count or COUNT]
    if out.as_json:
        out.data([trial_record(trial) | {"metrics": final_metrics(trial)} for trial in ranked])
        return
    if not ranked:
        status = status_of(paths, spec, state)
        yet = "" if status == "complete" else " yet"
        lacking = "keeps the constraints" if state.counts[TrialState.COMPLETE] else "is complete"
        out.line(f"{paths.name}: no trial {lacking}{yet}: {counts_text(state, status)}")
        return
    names = searched_names(spec, ranked)
    rows = [
        [
            trial.number,
            *values_of(trial),
            *(trial.params.get(name) for name in names),
            len(trial.reports),
            duration_text(trial.duration),
            newest_checkpoint(trial),
        ]
        for trial in ranked
    ]
    values = [each.name for each in spec.objectives]
    out.table(["trial", *values, *names, "steps", "time", "checkpoint"], rows)


class Form(StrEnum):
    """How the parameters of the best trial are written for other programs."""

    YAML = "yaml"
    JSON = "json"
    ARGS = "args"


def best_parameters(store: Path, name: str, count: int | None, form: Form, out: Output) -> None:
    """The parameters of the best trial, or a list of them: of the ``count`` best, or of a front.

    Groups are nested; as arguments their names have dots, and each trial has a line.

    Raises:
        StudyNotFoundError: there is no such study, or no trial in it that is complete and keeps the
            constraints.
    """
    paths = find_begun(store, name)
    spec, state = read_study(paths)
    ranked = state.pareto[:count] if state.several else rank(spec, state)[: count or 1]
    if not ranked:
        status = counts_text(state, status_of(paths, spec, state))
        raise StudyNotFoundError(f"{paths.name}: there is no best trial yet: {status}")
    if form is Form.ARGS:
        for trial in ranked:
            out.line(shlex.join(f"--{key}={_argument(v)}" for key, v in trial.params.items()))
        return
    several = count is not None or state.several
    found = [nested(trial.params) for trial in ranked]
    value = found if several else found[0]
    if form is Form.JSON:
        out.line(json.dumps(value))
    else:
        out.line(dump_values(value).rstrip("\n"))


def nested(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with those of a group in a mapping: ``augment.shift`` is in ``augment``."""
    found: dict[str, Any] = {}
    for name, value in params.items():
        inner, *path = found, *name.split(".")
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = value
    return found


def _argument(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def rank(spec: StudySpec, state: StudyState) -> list[Trial]:
    """Completed trials that keep the constraints, by the first objective.

    The best first; of equals the one that was known first.
    """
    sign = -1.0 if spec.objective.goal is Goal.MAXIMIZE else 1.0
    complete = [
        trial
        for trial in state.trials.values()
        if trial.state is TrialState.COMPLETE and trial.feasible
    ]
    return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.told or 0))
