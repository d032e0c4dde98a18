"""The five derived tables of a study, as Arrow tables and as Parquet files.

They are a view of the state: deleting `tables/` loses nothing. Times are UTC, durations seconds,
sizes bytes. ``params.*`` columns have the type that the space declares, ``metrics.*`` are float64;
a trial without a value has null there. A text that is not Unicode (half of a surrogate pair) has
an escape there, since no table could hold it. Each file names the last event that it knows.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sweep import fsio
from sweep.journal.attempt import End
from sweep.journal.column import (
    column,
    floats,
    integers,
    metric_columns,
    names_of,
    texts,
    times,
)
from sweep.journal.reports import reports_table
from sweep.journal.seal import is_broken, write_sealed
from sweep.journal.state import Checkpoint, StudyState, Trial

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
    together; ``checkpoint`` is the one that ``value``
    was measured of, else the newest; ``parent`` is the number of the trial that a fork
    was forked off, ``source`` the checkpoint of it, ``exploits`` the member of a population whose
    place the fork took.
    """
    trials = list(state.trials.values())
    forks = [trial.fork for trial in trials]
    columns: dict[str, pa.Array] = {
        "number": integers(trial.number for trial in trials),
        "state": texts(str(trial.state) for trial in trials),
        "value": floats(trial.value for trial in trials),
        **_objectives(state, trials),
        **_params([trial.params for trial in trials], _declared(state)),
        **metric_columns([final_metrics(trial) for trial in trials]),
        "started": times(trial.started for trial in trials),
        "finished": times(trial.finished for trial in trials),
        "duration_s": floats(trial.duration for trial in trials),
        "attempts": integers(trial.attempts for trial in trials),
        "steps": integers(len(trial.reports) for trial in trials),
        "checkpoint": texts(newest_checkpoint(trial) for trial in trials),
        "parent": integers(None if fork is None else fork.parent for fork in forks),
        "source": texts(None if fork is None else fork.source for fork in forks),
        "exploits": integers(None if fork is None else fork.exploits for fork in forks),
        "reason": texts(trial.reason for trial in trials),
        "error": texts(trial.error for trial in trials),
    }
    return pa.table(columns)


def attempts_table(state: StudyState) -> pa.Table:
    """One row an execution of a trial, in the order in which they began.

    ``trial attempt session end began ended duration_s steps lost checkpoint``. One that runs has no
    ``ended``, and ``duration_s`` goes up to the last event; those of the others add up to that of
    the trial. ``steps`` are those at which it has reported. ``lost`` counts what a later attempt
    made again: calls of ``trial.step()``, or reports where the trial calls none.
    """
    rows = [each for trial in state.trials.values() for each in trial.executions]
    rows.sort(key=lambda each: each.began)
    until = [state.heard if row.end is End.RUNNING else row.ended for row in rows]
    columns: dict[str, pa.Array] = {
        "trial": integers(row.trial for row in rows),
        "attempt": integers(row.number for row in rows),
        "session": integers(row.session for row in rows),
        "end": texts(str(row.end) for row in rows),
        "began": times(row.began for row in rows),
        "ended": times(None if row.end is End.RUNNING else row.ended for row in rows),
        "duration_s": floats(end - row.began for row, end in zip(rows, until, strict=True)),
        "steps": integers(row.steps for row in rows),
        "lost": integers(row.lost for row in rows),
        "checkpoint": texts(row.checkpoint for row in rows),
    }
    return pa.table(columns)


def checkpoints_table(state: StudyState) -> pa.Table:
    """One row a checkpoint, retired ones too, in the order of their saving within a trial.

    ``id trial attempt step kind content value bytes new_bytes saved retired parent``. ``content``
    is ``full`` (a trial can go on from it), ``partial`` or ``light``. ``value`` is the objective
    (of several the first) where this very state was measured, and missing where it was not.
    """
    metric = state.objectives[0] if state.spec else ""
    rows: list[Checkpoint] = [
        checkpoint for trial in state.trials.values() for checkpoint in trial.checkpoints.values()
    ]
    columns: dict[str, pa.Array] = {
        "id": texts(row.id for row in rows),
        "trial": integers(row.trial for row in rows),
        "attempt": integers(row.attempt for row in rows),
        "step": integers(row.step for row in rows),
        "kind": texts(row.record.get("kind") for row in rows),
        "content": texts(row.content for row in rows),
        "value": floats(row.value(metric) for row in rows),
        "bytes": integers(row.record.get("bytes") for row in rows),
        "new_bytes": integers(row.record.get("new_bytes") for row in rows),
        "saved": times(row.saved for row in rows),
        "retired": times(row.retired for row in rows),
        "parent": texts(row.record.get("parent") for row in rows),
    }
    return pa.table(columns)


def iterations_table(state: StudyState) -> pa.Table:
    """One row a Bayesian iteration, in the order in which the results were told.

    ``iteration trial value best_trial best_value best_checkpoint best_kept time``; ``best_kept``
    says whether that checkpoint is kept now. With several objectives there is ``front``, too: how
    many trials were on the Pareto front.
    """
    rows = state.iterations
    columns: dict[str, pa.Array] = {
        "iteration": integers(row.number for row in rows),
        "trial": integers(row.trial for row in rows),
        "value": floats(row.value for row in rows),
        "best_trial": integers(row.best_trial for row in rows),
        "best_value": floats(row.best_value for row in rows),
        "best_checkpoint": texts(row.best_checkpoint for row in rows),
        "best_kept": column([state.keeps(row.best_checkpoint) for row in rows], pa.bool_()),
        **({"front": integers(row.front for row in rows)} if state.several else {}),
        "time": times(row.time for row in rows),
    }
    return pa.table(columns)


TABLES: Mapping[str, Callable[[StudyState], pa.Table]] = {
    "trials": trials_table,
    "attempts": attempts_table,
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
            write_sealed(file, known.schema, [known])


@dataclass(frozen=True, slots=True)
class Written:
    """A table as it was written after the event ``newest``."""

    table: pa.Table
    newest: int


def drop_newer(directory: Path, newest: int) -> None:
    """Remove the tables if they know of events after ``newest``, the last one that there is.

    They are of a journal that was set back since, by a repair or out of a backup. Once it is as
    long again, nothing would tell them from its own.

    Raises:
        OSError: they cannot be removed.
    """
    for path in directory.glob("*.parquet"):
        try:
            said = _newest(_unbroken(path).schema_arrow)
        except Exception:  # noqa: BLE001  as in `read_written`
            continue
        if said is not None and said > newest:
            shutil.rmtree(directory)
            return


def read_written(directory: Path, name: str) -> Written | None:
    """The table ``name`` from ``directory``, if there is one that says of when it is, is whole and
    has the columns that it would be given here."""
    try:
        table = _unbroken(directory / f"{name}.parquet").read()
        newest = _newest(table.schema)
        if newest is None or not _is_known(table.schema, name):
            return None
    except Exception:  # noqa: BLE001  they are derived: what is not there, or whole, is made anew
        return None
    return Written(table, newest)


def _unbroken(path: Path) -> pq.ParquetFile:
    """The file of a table, if it is as it was written; else an exception of any kind."""
    data = path.read_bytes()
    if is_broken(data):
        raise ValueError("is not what was written")
    return pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)


def _newest(schema: pa.Schema) -> int | None:
    """Which event was the newest when a table was written, if it says so."""
    said = (schema.metadata or {}).get(_NEWEST, b"")
    return int(said) if said.isdigit() else None


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
    """Id of the checkpoint that stands beside the value of a trial, see `Trial.shown`."""
    return None if trial.shown is None else trial.shown.id


def _objectives(state: StudyState, trials: Sequence[Trial]) -> dict[str, pa.Array]:
    """What only studies with several objectives, or with constraints, have."""
    columns: dict[str, pa.Array] = {}
    if state.several:
        nothing: list[float | None] = [None] * len(state.objectives)
        values = [trial.values or nothing for trial in trials]
        for index in range(len(state.objectives)):
            columns[f"values_{index}"] = floats(row[index] for row in values)
    if state.several or state.spec.get("constraints"):
        known = [trial.feasible if trial.value is not None else None for trial in trials]
        columns["feasible"] = column(known, pa.bool_())
    return columns


def _params(rows: Sequence[Mapping[str, Any]], kinds: Kinds) -> dict[str, pa.Array]:
    return {
        f"params.{name}": _column([row.get(name) for row in rows], kinds.get(name))
        for name in dict.fromkeys([*kinds, *names_of(rows)])
    }


def _declared(state: StudyState) -> Kinds:
    from sweep.spec import StudySpec  # start-up: most commands need no table
    from sweep.spec.kind import kinds_of

    return kinds_of(StudySpec.accepted(state.spec)) if state.spec else {}


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
        return texts(values)
    kind = _KINDS.get(kinds.pop()) if len(kinds) == 1 else None
    if kind is not None:
        with suppress(OverflowError):
            return column(values, kind)
    if not kinds and all(value is None for value in values):
        return pa.nulls(len(values), pa.string())
    return texts(None if value is None else str(value) for value in values)


_KINDS = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
"""By the type of the values that JSON has."""
