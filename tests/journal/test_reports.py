"""A written table of reports that is brought up to date is the one that would be made anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_events import asked, created

from sweep.journal.event import Entry, Event, TrialReported, TrialRestored
from sweep.journal.fold import fold
from sweep.journal.reports import brought_up, reports_table

TRIALS = 4

NAMES = st.sampled_from(["a", "b", "half of a pair \ud800"])
METRICS = st.dictionaries(NAMES, st.floats(allow_nan=False), max_size=3)
REPORTS = st.builds(
    lambda trial, attempt, step, metrics: TrialReported(
        trial=trial, attempt=attempt, step=step, value=None, metrics=metrics, prune=None
    ),
    st.integers(0, TRIALS - 1),
    st.integers(1, 3),
    st.integers(0, 5),
    METRICS,
)
RESTORED = st.builds(
    lambda trial, step: TrialRestored(
        trial=trial, attempt=2, checkpoint=None, step=step, skipped=[]
    ),
    st.integers(0, TRIALS - 1),
    st.none() | st.integers(0, 5),
)


def numbered(events: Sequence[Event]) -> list[Entry]:
    return [
        Entry(seq=seq, time=1.7e9 + seq * 0.001, event=event) for seq, event in enumerate(events)
    ]


def rows(table: pa.Table) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in table.to_pylist()
    ]


@settings(deadline=None)  # the first one imports
@given(events=st.lists(REPORTS | RESTORED, max_size=30), share=st.floats(0, 1))
def test_brought_up_is_made_anew(events: list[Event], share: float) -> None:
    """Wherever the table was cut: the same rows, in the same order, the same columns and types."""
    entries = numbered([created(), *map(asked, range(TRIALS)), *events])
    cut = 1 + TRIALS + round(share * len(events))
    older = reports_table(fold(entries[:cut]))
    new, anew = brought_up(older, entries[cut:]), reports_table(fold(entries))
    assert rows(new) == rows(anew)
    kinds = {field.name: field.type for field in new.schema}
    assert kinds == {field.name: field.type for field in anew.schema}


def test_nothing_new_is_the_table_itself() -> None:
    """Entries that are no reports cost nothing."""
    entries = numbered([created(), *map(asked, range(TRIALS))])
    table = reports_table(fold(entries[:3]))
    assert brought_up(table, entries[3:]) is table


@pytest.mark.parametrize("step", [None, 0])
def test_an_older_attempt_is_taken_back(step: int | None) -> None:
    """What the checkpoint does not contain is gone, and what follows it is there."""
    made = [
        TrialReported(trial=0, attempt=1, step=n, value=None, metrics={"a": n}, prune=None)
        for n in range(3)
    ]
    again = TrialReported(trial=0, attempt=2, step=1, value=None, metrics={"b": 7.0}, prune=None)
    back = TrialRestored(trial=0, attempt=2, checkpoint=None, step=step, skipped=[])
    entries = numbered([created(), asked(0), *made, back, again])
    table = brought_up(reports_table(fold(entries[:5])), entries[5:])
    assert table["step"].to_pylist() == ([1] if step is None else [0, 1])
    assert table["metrics.b"].to_pylist()[-1] == 7.0
