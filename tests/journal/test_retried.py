"""The fold of trials that a user has retried or stopped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from journal_events import asked, created, reported

from sweep.errors import JournalError
from sweep.journal.event import (
    AttemptFailed,
    Entry,
    Event,
    TrialDispatched,
    TrialFinished,
    TrialPaused,
    TrialRetried,
    TrialState,
    TrialStopped,
)
from sweep.journal.fold import apply
from sweep.journal.row import decode, encode
from sweep.journal.state import StudyState

DISPATCHED = TrialDispatched(trial=0, attempt=1, session=1, checkpoint=None)
RAISED = AttemptFailed(trial=0, attempt=1, reason="ValueError", error="traceback")
FAILED = TrialFinished(
    trial=0, attempt=1, state=TrialState.FAILED, value=None, checkpoint=None,
    reason="ValueError", error="traceback",
)  # fmt: skip
PRUNED = replace(FAILED, state=TrialState.PRUNED, value=1.0, reason="stopped", error=None)
JUDGED = replace(reported(0, 0, 1.0), prune=False, rung=1)


def after(*events: Event) -> StudyState:
    """The state after a study with one trial came to ``events``, as read from a journal."""
    state = StudyState()
    for seq, event in enumerate([created(), asked(0), DISPATCHED, JUDGED, *events]):
        apply(state, decode(encode(Entry(seq=seq, time=float(seq), event=event))))
    return state


def test_a_failed_trial_runs_again() -> None:
    """Retried, it is one that waits, with no failure counted, no end, and a turn of its own."""
    state = after(RAISED, FAILED, TrialRetried(trial=0, from_scratch=False))
    trial = state.trials[0]
    assert state.running == {0: trial}
    assert state.counts == dict.fromkeys(TrialState, 0) | {TrialState.RUNNING: 1}
    assert (trial.state, trial.failures, len(trial.failed)) == (TrialState.RUNNING, 0, 1)
    assert (trial.finished, trial.reason, trial.error) == (None, None, None)
    assert (trial.turn, state.turns, trial.retried) == (1, 2, 1)
    assert trial.verdicts == {0: False}
    assert trial.rungs == {0 + 1: 0}


def test_from_scratch_no_verdict_counts() -> None:
    """From scratch neither a verdict nor a rung of before is known any more."""
    trial = after(RAISED, FAILED, TrialRetried(trial=0, from_scratch=True)).trials[0]
    assert (trial.verdicts, trial.rungs, trial.promoted) == ({}, {}, None)


@pytest.mark.parametrize("paused", [False, True])
def test_a_stopped_trial_ends_and_can_be_retried(paused: bool) -> None:
    """What a user has stopped is marked until it ends, ends as pruned, and may be retried."""
    pause = TrialPaused(trial=0, attempt=1, step=0, value=1.0, checkpoint=None, rung=1)
    events = [*([pause] if paused else []), TrialStopped(trial=0)]
    assert after(*events).trials[0].stopped
    ended = after(*events, PRUNED).trials[0]
    assert (ended.state, ended.stopped, ended.closed) == (TrialState.PRUNED, True, False)
    again = after(*events, PRUNED, TrialRetried(trial=0, from_scratch=False)).trials[0]
    assert (again.state, again.stopped) == (TrialState.RUNNING, False)


@pytest.mark.parametrize("end", [TrialState.COMPLETE, TrialState.PRUNED])
def test_what_ended_otherwise_cannot_be_retried(end: TrialState) -> None:
    """Of a complete trial, or one that a pruner ended, a retry is a fault of the journal."""
    with pytest.raises(JournalError, match=r"cannot be retried|from COMPLETE"):
        after(replace(PRUNED, state=end), TrialRetried(trial=0, from_scratch=False))


def test_a_stopped_trial_that_came_to_its_end_is_closed() -> None:
    """Where it was complete before it could be stopped it is that, and is never retried."""
    complete = replace(PRUNED, state=TrialState.COMPLETE, reason=None)
    trial = after(TrialStopped(trial=0), complete).trials[0]
    assert (trial.state, trial.stopped, trial.closed) == (TrialState.COMPLETE, True, True)
