"""`sweep best`: the best trials of a study."""

from __future__ import annotations

from pathlib import Path

from sweep.cli.output import Output, duration_text
from sweep.cli.place import find_begun, read_study
from sweep.cli.standing import (
    counts_text,
    searched_names,
    status_of,
    values_of,
)
from sweep.driver.summary import trial_record
from sweep.journal.event import TrialState
from sweep.journal.state import StudyState, Trial
from sweep.journal.table import final_metrics, newest_checkpoint
from sweep.spec import Goal, StudySpec

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
