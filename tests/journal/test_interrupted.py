"""The fold of attempts whose worker, node or server died: no failure of their trial."""

from __future__ import annotations

from collections.abc import Sequence

from journal_events import asked, created, reported

from sweep.journal.attempt import End
from sweep.journal.event import (
    AttemptFailed,
    AttemptInterrupted,
    AttemptStopped,
    CheckpointSaved,
    DriverStarted,
    Entry,
    Event,
    TrialDispatched,
    TrialFinished,
    TrialRetried,
    TrialState,
)
from sweep.journal.fold import apply
from sweep.journal.row import decode, encode
from sweep.journal.state import StudyState


def started(session: int) -> DriverStarted:
    return DriverStarted(session=session, host="h", pid=1, versions={})


def begun(trial: int, attempt: int) -> TrialDispatched:
    return TrialDispatched(trial=trial, attempt=attempt, session=1, checkpoint=None)


def interrupted(trial: int, attempt: int) -> AttemptInterrupted:
    return AttemptInterrupted(trial=trial, attempt=attempt, reason="worker died", error="detail")


def after(*events: Event) -> StudyState:
    """The state of a study of two trials after ``events``, as read from a journal."""
    state = StudyState()
    for seq, event in enumerate([created(), started(1), asked(0), asked(1), *events]):
        apply(state, decode(encode(Entry(seq=seq, time=float(seq), event=event))))
    return state


def in_a_row(count: int) -> list[Event]:
    """So many attempts of trial 0, each interrupted."""
    return [
        event
        for number in range(1, count + 1)
        for event in (begun(0, number), interrupted(0, number))
    ]


def test_an_interruption_is_no_failure() -> None:
    """It ends the attempt, leaves the trial unfinished, and no retry is used up."""
    trial = after(begun(0, 1), interrupted(0, 1)).trials[0]
    assert (trial.state, trial.executing) == (TrialState.RUNNING, False)
    assert (trial.failures, trial.interruptions, trial.setbacks) == (0, 1, 1)
    assert (trial.executions[0].end, trial.reason) == (End.INTERRUPTED, "worker died")


def test_old_deaths_count_as_they_did() -> None:
    """A death that an older version journaled as a failure stays one."""
    old = AttemptFailed(trial=0, attempt=1, reason="worker died: killed", error="")
    trial = after(begun(0, 1), old).trials[0]
    assert (trial.failures, trial.interruptions) == (1, 0)


def setbacks(events: Sequence[Event]) -> tuple[int, dict[int, int]]:
    state = after(*in_a_row(3), begun(0, 4), *events)
    return state.trials[0].setbacks, state.setbacks


def test_setbacks_end_where_a_trial_gets_further() -> None:
    """A new step, a new checkpoint, an exception or an end is progress; what was done before is
    not, and a stop is none either."""
    assert setbacks([]) == (3, {0: 3})
    assert setbacks([AttemptStopped(trial=0, attempt=4)]) == (3, {0: 3})
    assert setbacks([reported(0, 0, 1.0)]) == (0, {})
    saved = CheckpointSaved(trial=0, attempt=4, step=0, checkpoint="0@1.0", record={})
    assert setbacks([saved]) == (0, {})
    assert setbacks([AttemptFailed(trial=0, attempt=4, reason="x", error="")]) == (0, {})
    once = [reported(0, 0, 1.0), saved, interrupted(0, 4), begun(0, 5)]
    assert setbacks([*once, reported(0, 0, 1.0), saved]) == (1, {0: 1})


def test_another_trial_that_gets_further_shows_that_the_machine_works() -> None:
    """Its report ends the count of the study, and leaves that of the interrupted trial."""
    state = after(*in_a_row(2), begun(1, 1), reported(1, 0, 1.0))
    assert (state.trials[0].setbacks, state.setbacks) == (2, {})


def test_a_new_session_begins_to_count_anew() -> None:
    """Somebody has seen to the machine, and resumes: no trial rests, no count is left."""
    state = after(*in_a_row(5), started(2))
    assert (state.trials[0].setbacks, state.setbacks) == (0, {})
    assert state.trials[0].interruptions == 5


def test_given_up_tells_interruptions_from_failures() -> None:
    """A trial that failed by interruptions says nothing of its parameters; a retry excuses them."""
    end = TrialFinished(
        trial=0, attempt=2, state=TrialState.FAILED, value=None, checkpoint=None
    )  # fmt: skip
    lost = after(*in_a_row(2), end)
    raised = after(begun(0, 1), AttemptFailed(trial=0, attempt=1, reason="x", error=""), end)
    assert (lost.trials[0].given_up, raised.trials[0].given_up) == (True, False)
    again = after(*in_a_row(2), end, TrialRetried(trial=0, from_scratch=False)).trials[0]
    assert (again.interruptions, again.setbacks, again.given_up) == (0, 0, False)
