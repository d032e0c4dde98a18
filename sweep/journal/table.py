"""The four derived tables of a study, as Arrow tables and as Parquet files.

They are a view of the state: deleting `tables/` loses nothing. Times are UTC, durations seconds,
sizes bytes. ``params.*`` columns have the type that the space declares, ``metrics.*`` are float64;
a trial without a value has null there. A text that is not Unicode (half of a surrogate pair) has
an escape there, since no table could hold it. Each file names the last event that it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sweep import fsio
from sweep.journal.column import column
from sweep.journal.state import Checkpoint, StudyState, Trial
from sweep.quantity import printable

_TIME = pa.timestamp("us", tz="UTC")

Kinds = Mapping[str, type | None]
"""The types of parameters that the space declares, None where it has none."""

_NEWEST = b"sweep.newest"
"""Where a file says which event was the newest when it was written."""

_SOMETIMES = ("params.", "metrics.", "values_", "feasible", "front")
"""How columns begin that some studies have."""


def trials_table(state: StudyState) -> pa.Table:
    """One row a trial, running and paused ones too, by number.

    ``number state value params.* metrics.* started finished duration_s attempts steps checkpoint
    parent source exploits reason error``. Several objectives have ``values_0``, ``values_1``, ...
    in their order after ``value``, which is the first of them; with those or with constraints
    ``feasible`` says of those that have a result whether they keep all. ``metrics.*`` are the last
    of each; ``steps`` counts the reported steps; ``duration_s`` is the time on a slot, all attempts
    together; ``checkpoint`` is the newest one; ``parent`` is the number of the trial that a fork
    was forked off, ``source`` the checkpoint of it, ``exploits`` the member of a population whose
    place the fork took.
    """
    trials = list(state.trials.values())
    finals = [final_metrics(trial) for trial in trials]
    columns: dict[str, pa.Array] = {
        "number": _int(trial.number for trial in trials),
        "state": _text(str(trial.state) for trial in trials),
        "value": _float(trial.value for trial in trials),
        **_objectives(state, trials),
        **_params([trial.params for trial in trials], _declared(state)),
        **_metrics(finals),
        "started": _time(trial.started for trial in trials),
        "finished": _time(trial.finished for trial in trials),
        "duration_s": _float(trial.duration for trial in trials),
        "attempts": _int(trial.attempts for trial in trials),
        "steps": _int(len(trial.reports) for trial in trials),
        "checkpoint": _text(newest_checkpoint(trial) for trial in trials),
        "parent": _int(None if trial.fork is None else trial.fork.parent for trial in trials),
        "source": _text(None if trial.fork is None else trial.fork.source for trial in trials),
        "exploits": _int(None if trial.fork is None else trial.fork.exploits for trial in trials),
        "reason": _text(trial.reason for trial in trials),
        "error": _text(trial.error for trial in trials),
    }
    return pa.table(columns)


def reports_table(state: StudyState) -> pa.Table:
    """One row a trial and step: ``trial attempt step time metrics.*``, by trial, then step."""
    reports = [
        (trial.number, trial.reports[step])
        for trial in state.trials.values()
        for step in sorted(trial.reports)
    ]
    columns: dict[str, pa.Array] = {
        "trial": _int(number for number, _ in reports),
        "attempt": _int(report.attempt for _, report in reports),
        "step": _int(report.step for _, report in reports),
        "time": _time(report.time for _, report in reports),
        **_metrics([report.metrics for _, report in reports]),
    }
    return pa.table(columns)


def checkpoints_table(state: StudyState) -> pa.Table:
    """One row a checkpoint, retired ones too, in the order of their saving within a trial.

    ``id trial attempt step kind content bytes new_bytes saved retired parent``. ``content`` is
    ``full`` (a trial can go on from it), ``partial`` or ``light``.
    """
    rows: list[Checkpoint] = [
        checkpoint for trial in state.trials.values() for checkpoint in trial.checkpoints.values()
    ]
    columns: dict[str, pa.Array] = {
        "id": _text(row.id for row in rows),
        "trial": _int(row.trial for row in rows),
        "attempt": _int(row.attempt for row in rows),
        "step": _int(row.step for row in rows),
        "kind": _text(row.record.get("kind") for row in rows),
        "content": _text(row.content for row in rows),
        "bytes": _int(row.record.get("bytes") for row in rows),
        "new_bytes": _int(row.record.get("new_bytes") for row in rows),
        "saved": _time(row.saved for row in rows),
        "retired": _time(row.retired for row in rows),
        "parent": _text(row.record.get("parent") for row in rows),
    }
    return pa.table(columns)


def iterations_table(state: StudyState) -> pa.Table:
    """One row a Bayesian iteration, in the order in which the results were told.

    ``iteration trial value best_trial best_value best_checkpoint time``; with several objectives
    there is ``front``, too: how many trials were on the Pareto front.
    """
    rows = state.iterations
    columns: dict[str, pa.Array] = {
        "iteration": _int(row.number for row in rows),
        "trial": _int(row.trial for row in rows),
        "value": _float(row.value for row in rows),
        "best_trial": _int(row.best_trial for row in rows),
        "best_value": _float(row.best_value for row in rows),
        "best_checkpoint": _text(row.best_checkpoint for row in rows),
        **({"front": _int(row.front for row in rows)} if state.several else {}),
        "time": _time(row.time for row in rows),
    }
    return pa.table(columns)


TABLES: Mapping[str, Callable[[StudyState], pa.Table]] = {
    "trials": trials_table,
    "reports": reports_table,
    "checkpoints": checkpoints_table,
    "iterations": iterations_table,
}


def write_tables(state: StudyState, directory: Path) -> None:
    """Write all tables to ``directory``, each replaced atomically."""
    fsio.make_directory(directory)
    for name, build in TABLES.items():
        known = build(state).replace_schema_metadata({_NEWEST: str(state.seq)})
        with fsio.writing(directory / f"{name}.parquet") as file:
            pq.write_table(known, file, compression="zstd", write_page_checksum=True)


def read_written(directory: Path, name: str, newest: int) -> pa.Table | None:
    """The table ``name`` from ``directory``, if it was written after the event ``newest``, is whole
    and has the columns that it would be given here."""
    try:
        table = pq.read_table(directory / f"{name}.parquet", page_checksum_verification=True)
    except (OSError, pa.ArrowInvalid):  # they are derived: what is not there is made anew
        return None
    said = (table.schema.metadata or {}).get(_NEWEST)
    return table if said == str(newest).encode() and _is_known(table.schema, name) else None


def _is_known(schema: pa.Schema, name: str) -> bool:
    """Whether a table has the columns of this version: no other, and none of another type."""
    always = TABLES[name](StudyState()).schema
    return set(always) <= set(schema) and all(
        column in always.names or column.startswith(_SOMETIMES) for column in schema.names
    )


def final_metrics(trial: Trial) -> dict[str, float]:
    """The last value of each metric of a trial."""
    latest: dict[str, float] = {}
    for step in sorted(trial.reports):
        latest |= trial.reports[step].metrics
    return latest | trial.metrics


def newest_checkpoint(trial: Trial) -> str | None:
    """Id of the newest checkpoint that is kept, see `Trial.newest`."""
    return None if trial.newest is None else trial.newest.id


def _objectives(state: StudyState, trials: Sequence[Trial]) -> dict[str, pa.Array]:
    """What only studies with several objectives, or with constraints, have."""
    columns: dict[str, pa.Array] = {}
    if state.several:
        nothing: list[float | None] = [None] * len(state.objectives)
        values = [trial.values or nothing for trial in trials]
        for index in range(len(state.objectives)):
            columns[f"values_{index}"] = _float(row[index] for row in values)
    if state.several or state.spec.get("constraints"):
        known = [trial.feasible if trial.value is not None else None for trial in trials]
        columns["feasible"] = column(known, pa.bool_())
    return columns


def _int(values: Iterable[int | None]) -> pa.Array:
    return column(list(values), pa.int64())


def _float(values: Iterable[float | None]) -> pa.Array:
    return column(list(values), pa.float64())


def _text(values: Iterable[str | None]) -> pa.Array:
    return column([None if value is None else printable(value) for value in values], pa.string())


def _time(values: Iterable[float | None]) -> pa.Array:
    micros = [None if value is None else round(value * 1e6) for value in values]
    return column(micros, _TIME)


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _metrics(rows: Sequence[Mapping[str, float]]) -> dict[str, pa.Array]:
    return {
        f"metrics.{printable(name)}": _float(row.get(name) for row in rows) for name in _names(rows)
    }


def _params(rows: Sequence[Mapping[str, Any]], kinds: Kinds) -> dict[str, pa.Array]:
    return {
        f"params.{name}": _column([row.get(name) for row in rows], kinds.get(name))
        for name in dict.fromkeys([*kinds, *_names(rows)])
    }


def _declared(state: StudyState) -> Kinds:
    from sweep.spec import StudySpec  # start-up: most commands need no table
    from sweep.spec.kind import kinds_of

    return kinds_of(StudySpec.model_validate(state.spec)) if state.spec else {}


def _column(values: list[Any], declared: type | None) -> pa.Array:
    """An array of the declared type, or of the values' own where they are of another one, as those
    of trials from before a change of the space may be.

    Their text where they are of several types, or nested. Integers among floats are floats;
    nothing else is converted silently into another kind.
    """
    kinds = {type(value) for value in values if value is not None}
    kinds |= set() if declared is None else {declared}
    if kinds == {int, float}:
        kinds = {float}
    if kinds == {str}:
        return _text(values)
    kind = _KINDS.get(kinds.pop()) if len(kinds) == 1 else None
    if kind is not None:
        with suppress(OverflowError):
            return column(values, kind)
    if not kinds and all(value is None for value in values):
        return pa.nulls(len(values), pa.string())
    return _text(None if value is None else str(value) for value in values)


_KINDS = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
"""By the type of the values that JSON has."""
