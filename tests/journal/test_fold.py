"""The fold: what a journal's entries make of a state."""

from __future__ import annotations

from dataclasses import replace

import pytest
from journal_events import asked, created, reported

from sweep.errors import JournalError
from sweep.journal.event import (
    EVENTS,
    DriverStarted,
    Entry,
    Event,
    TrialFinished,
    TrialPaused,
    TrialPromoted,
    TrialState,
)
from sweep.journal.fold import HANDLED, apply, fold
from sweep.journal.row import decode, encode
from sweep.journal.state import StudyState


def test_fold_of_a_paused_trial() -> None:
    """Paused and promoted, a trial changes its state, its counts, and where it is listed."""
    state = StudyState()
    events = [
        created(),
        asked(0),
        replace(reported(0, 0, 1.0), rung=1),
        TrialPaused(trial=0, attempt=1, step=0, value=1.0, checkpoint=None, rung=1),
        TrialPromoted(trial=0, rung=1),
    ]
    seen = []
    for seq, event in enumerate(events):
        apply(state, decode(encode(Entry(seq=seq, time=float(seq), event=event))))
        listed = [sorted(state.running), sorted(state.paused)]
        held = state.trials[0].held_at if state.trials else None
        seen.append((listed, held, state.counts[TrialState.PAUSED]))
    assert seen[2:] == [([[0], []], 1, 0), ([[], [0]], 1, 1), ([[0], []], None, 0)]
    late = Entry(seq=5, time=5.0, event=replace(events[3], rung=4))
    with pytest.raises(JournalError, match="which the journal does not know"):
        apply(state, late)


def test_fold_knows_every_event() -> None:
    """Each event type has a rule in the fold."""
    assert EVENTS.keys() == HANDLED


def test_fold_refuses_a_hole() -> None:
    """Entries must follow each other."""
    with pytest.raises(JournalError, match="hole"):
        fold([Entry(seq=0, time=0.0, event=created()), Entry(seq=2, time=0.0, event=asked(0))])


def test_fold_refuses_a_second_end() -> None:
    """A finished trial cannot finish again."""
    end = TrialFinished(trial=0, attempt=1, state=TrialState.COMPLETE, value=1.0, checkpoint=None)
    events: list[Event] = [created(), asked(0), end, end]
    with pytest.raises(JournalError):
        fold(Entry(seq=seq, time=0.0, event=event) for seq, event in enumerate(events))


def test_driver_sessions_add_up() -> None:
    """Time on drivers is counted over sessions; a killed one lasted until its last event."""
    start = DriverStarted(session=1, host="h", pid=1, versions={})
    state = fold(
        [
            Entry(seq=0, time=0.0, event=created()),
            Entry(seq=1, time=10.0, event=start),
            Entry(seq=2, time=14.0, event=asked(0)),
            Entry(seq=3, time=100.0, event=replace(start, session=2)),
        ]
    )
    assert state.active_s == 4.0
    assert state.sessions == 2
