"""The table of the reports: from the state, or one that was written, brought up to date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from sweep.journal.column import integers, metric_columns, times
from sweep.journal.event import Entry, TrialReported, TrialRestored
from sweep.journal.fold import merge_report, rolled_back
from sweep.journal.state import Report, StudyState
from sweep.quantity import printable

_METRIC = "metrics."


def reports_table(state: StudyState) -> pa.Table:
    """One row a trial and step: ``trial attempt step time metrics.*``, by trial, then step."""
    return _table({number: trial.reports for number, trial in state.trials.items()})


def brought_up(written: pa.Table, entries: Iterable[Entry]) -> pa.Table:
    """``written``, a table as `reports_table` makes it, after the ``entries`` that came since.

    What they do not touch is not looked at, so this costs what is new and not what there is. The
    rows are those of `reports_table`; a metric that is new is the last column.
    """
    numbers = written["trial"].to_numpy()
    changed: dict[int, dict[int, Report]] = {}
    for entry in entries:
        event = entry.event
        if not isinstance(event, TrialReported | TrialRestored):
            continue
        trial = event.trial
        reports = changed.get(trial)
        if reports is None:
            reports = changed[trial] = _reports(_rows(written, numbers, trial))
        if isinstance(event, TrialRestored):
            changed[trial] = rolled_back(reports, event)
        else:
            named = {printable(name): value for name, value in event.metrics.items()}
            merge_report(reports, replace(event, metrics=named), entry.time)
    return _replaced(written, numbers, changed) if changed else written


def _table(reports: Mapping[int, Mapping[int, Report]]) -> pa.Table:
    """The table of the reports by trial and step, the trials in their order."""
    rows = [(number, made[step]) for number, made in reports.items() for step in sorted(made)]
    columns: dict[str, pa.Array] = {
        "trial": integers(number for number, _ in rows),
        "attempt": integers(report.attempt for _, report in rows),
        "step": integers(report.step for _, report in rows),
        "time": times(report.time for _, report in rows),
        **metric_columns([report.metrics for _, report in rows]),
    }
    return pa.table(columns)


def _rows(written: pa.Table, numbers: np.ndarray, trial: int) -> pa.Table:
    first, last = np.searchsorted(numbers, [trial, trial + 1])
    return written.slice(first, last - first)


def _reports(rows: pa.Table) -> dict[int, Report]:
    """The reports of one trial, by step, as its rows have them; their objective they have not."""
    metrics = [name for name in rows.schema.names if name.startswith(_METRIC)]
    return {
        row["step"]: Report(
            row["step"],
            row["attempt"],
            row["time"].timestamp(),
            None,
            {name.removeprefix(_METRIC): row[name] for name in metrics if row[name] is not None},
        )
        for row in rows.to_pylist()
    }


def _replaced(
    written: pa.Table, numbers: np.ndarray, changed: Mapping[int, Mapping[int, Report]]
) -> pa.Table:
    """``written`` with the rows of the trials that have ``changed`` in the place of theirs."""
    trials = sorted(changed)
    new = _table({trial: changed[trial] for trial in trials})
    firsts = np.searchsorted(numbers, trials)
    lasts = np.searchsorted(numbers, trials, side="right")
    ends = np.searchsorted(new["trial"].to_numpy(), [*trials, trials[-1] + 1])
    parts: list[pa.Table] = [written.slice(0, firsts[0])]
    befores: Sequence[int] = [*firsts[1:], len(written)]
    for (begin, end), last, before in zip(pairwise(ends), lasts, befores, strict=True):
        parts += [new.slice(begin, end - begin), written.slice(last, before - last)]
    table = pa.concat_tables(parts, promote_options="default")
    gone = [
        name
        for name in table.schema.names
        if name.startswith(_METRIC) and table[name].null_count == len(table)
    ]
    return table.drop_columns(gone)
