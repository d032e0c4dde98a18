"""A reader keeps up with a journal that is being written, compacted and reopened."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from journal_events import asked, created, reported

from sweep.errors import JournalError
from sweep.journal.event import Event
from sweep.journal.fold import fold
from sweep.journal.follower import Follower
from sweep.journal.journal import Journal
from sweep.journal.segment import read_entries


def some_events(count: int) -> list[Event]:
    """A study with one trial that reports on and on."""
    made = [reported(0, step, 1 / step) for step in range(1, count - 1)]
    return [created(), asked(0), *made]


def test_each_entry_once_across_compactions(tmp_path: Path) -> None:
    """What is given is each entry once, in order, however the writer merges its files meanwhile."""
    events, follower, seen = some_events(300), Follower(tmp_path / "journal"), []
    journal = Journal(tmp_path / "journal")
    for event in events:
        journal.append(event)
        journal.flush()
        seen += follower.new()
    journal.close()
    seen += follower.new()
    assert [entry.seq for entry in seen] == list(range(len(events)))
    assert [entry.event for entry in seen] == events
    assert follower.state == fold(read_entries(tmp_path / "journal"))
    assert list(follower.new()) == []


def test_goes_on_after_half_of_the_entries_was_taken(tmp_path: Path) -> None:
    """Who stops in the middle goes on there."""
    events, follower = some_events(20), Follower(tmp_path / "journal")
    journal = Journal(tmp_path / "journal")
    journal.append(*events)
    journal.close()
    assert [entry.seq for entry in islice(follower.new(), 7)] == list(range(7))
    assert [entry.seq for entry in follower.new()] == list(range(7, len(events)))
    assert follower.state.seq == len(events) - 1


def test_a_hole_is_said_and_not_passed_over(tmp_path: Path) -> None:
    """Damage is an error at each look until it is mended; nothing of it is in the state."""
    follower = Follower(tmp_path / "journal")
    journal = Journal(tmp_path / "journal")
    journal.append(*some_events(5))
    journal.close()
    (tmp_path / "journal" / "00000009-00000009.parquet").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(JournalError, match="event 5 should come next"):
            follower.update()
    assert follower.state.seq == -1
