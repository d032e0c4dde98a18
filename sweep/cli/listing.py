"""`sweep ls` and `sweep best`: the studies of the store, and the best trials of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweep.cli.output import Output, duration_text, params_text
from sweep.cli.place import find_begun, read_study, studies
from sweep.cli.standing import (
    counts_text,
    searched_names,
    status_of,
    summary_record,
    total_of,
    trial_record,
    values_of,
)
from sweep.errors import SweepError
from sweep.journal.event import TrialState
from sweep.journal.state import StudyState, Trial
from sweep.journal.table import final_metrics, newest_checkpoint
from sweep.paths import StudyPaths
from sweep.spec import Goal, StudySpec


def list_studies(store: Path, out: Output) -> None:
    """All studies of the store, a line each; a damaged one is named and does not hide the rest."""
    records = [_record(paths) for paths in studies(store)]
    if out.as_json:
        out.data(records)
    elif not records:
        out.line(f"{store}: no studies; `sweep init` writes a first one")
    else:
        columns = ["study", "status", "trials", "metric", "best", "parameters"]
        out.table(columns, [_row(record) for record in records])


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
        out.line(f"{paths.name}: no trial {lacking}{yet} ({counts_text(state, status)})")
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


def _record(paths: StudyPaths) -> dict[str, Any]:
    if not paths.begun():
        return {"study": paths.name, "status": "not begun"}
    try:
        spec, state = read_study(paths)
    except SweepError as error:
        return {"study": paths.name, "status": "damaged", "error": str(error)}
    return summary_record(paths, spec, state) | {
        "status": status_of(paths, spec, state),
        "total": total_of(spec, state),
        "updated": state.time,
        "searched": None if state.best is None else spec.space.searched(state.best.params),
    }


def _value(best: dict[str, Any] | None) -> float | None:
    return None if best is None else best["value"]


def _row(record: dict[str, Any]) -> list[Any]:
    best = record.get("best")
    states = record.get("states", {})
    done = sum(count for kind, count in states.items() if TrialState(kind).finished)
    return [
        record["study"],
        record["status"],
        f"{done}/{record['total']}" if "total" in record else "-",
        ", ".join(each["name"] for each in record.get("objectives", [])) or "-",
        f"{len(record['front'])} on the front" if record.get("front") else _value(best),
        record.get("error", "") if best is None else params_text(record["searched"]),
    ]
