"""What each execution of a trial took, and how it ended, as the fold adds it up."""

from __future__ import annotations

import pytest
from journal_events import asked, created

from sweep.journal.attempt import End
from sweep.journal.event import (
    AttemptStopped,
    DriverStarted,
    DriverStopped,
    Entry,
    Event,
    HistoryAdded,
    SpecChanged,
    TrialDispatched,
    TrialFinished,
    TrialReported,
    TrialRestored,
    TrialState,
)
from sweep.journal.fold import fold
from sweep.journal.state import StudyState
from sweep.journal.table import attempts_table


def started(session: int) -> DriverStarted:
    return DriverStarted(session=session, host="h", pid=1, versions={})


def begun(trial: int, attempt: int, session: int) -> TrialDispatched:
    return TrialDispatched(trial=trial, attempt=attempt, session=session, checkpoint=None)


def reported(trial: int, attempt: int, step: int) -> TrialReported:
    return TrialReported(
        trial=trial, attempt=attempt, step=step, value=1.0, metrics={"loss": 1.0}, prune=None
    )


def restored(trial: int, attempt: int, step: int | None, checkpoint: str | None) -> TrialRestored:
    return TrialRestored(trial=trial, attempt=attempt, step=step, checkpoint=checkpoint, skipped=[])


EVENTS: list[tuple[float, Event]] = [
    (0, created()),
    (0, started(1)),
    (1, asked(0)),
    (1, begun(0, 1, 1)),
    (2, asked(1)),
    (2, begun(1, 1, 1)),
    (4, reported(0, 1, 0)),
    (5, reported(0, 1, 1)),
    (9, reported(1, 1, 0)),  # the last that is heard of the driver
    (100, started(2)),
    (101, begun(0, 2, 2)),
    (102, restored(0, 2, 0, "0@1.1")),
    (103, begun(1, 2, 2)),
    (103, restored(1, 2, None, None)),
    (104, reported(0, 2, 1)),
    (105, reported(0, 2, 2)),
    (106, TrialFinished(trial=0, attempt=2, state=TrialState.COMPLETE, value=1.0, checkpoint=None)),
    (107, AttemptStopped(trial=1, attempt=2)),
    (108, DriverStopped(session=2, reason="interrupted")),
    (200, started(3)),
    (201, begun(1, 3, 3)),
    (205, reported(1, 3, 0)),
]


def folded(until: float) -> StudyState:
    events = [(time, event) for time, event in EVENTS if time <= until]
    return fold(Entry(seq=seq, time=time, event=event) for seq, (time, event) in enumerate(events))


def test_attempts_end_as_they_did() -> None:
    """One that was killed lasted until its driver was last heard of; one that runs, until now."""
    table = attempts_table(folded(205)).to_pydict()
    names = ("trial", "attempt", "session", "end", "duration_s")
    assert list(zip(*(table[name] for name in names), strict=True)) == [
        (0, 1, 1, End.KILLED, 8.0),
        (1, 1, 1, End.KILLED, 7.0),
        (0, 2, 2, End.COMPLETE, 5.0),
        (1, 2, 2, End.STOPPED, 4.0),
        (1, 3, 3, End.RUNNING, 4.0),
    ]
    assert [each is None for each in table["ended"]] == [False, False, False, False, True]
    assert table["checkpoint"] == [None, None, "0@1.1", None, None]


def test_what_a_resume_writes_first_is_no_sign_of_the_killed_driver() -> None:
    """A spec that is changed the day after a kill is journaled before the session that wants it: it
    adds nothing to the time of the attempts, nor to that of the study, which has a ``timeout``."""
    late: list[Event] = [
        SpecChanged(spec=created().spec, project="/p", changes=["trials: 4, not 2"]),
        HistoryAdded(source="other", trials=[], left_out=[]),
        started(2),
    ]
    entries = [
        Entry(seq=seq, time=time, event=event)
        for seq, (time, event) in enumerate([*EVENTS[:9], *((90000, event) for event in late)])
    ]
    for until in (len(EVENTS[:9]), len(entries) - 1, len(entries)):
        state = fold(entries[:until])
        assert attempts_table(state)["duration_s"].to_pylist() == [8.0, 7.0]
    assert state.active_s == 9.0
    assert [trial.duration for trial in state.trials.values()] == [8.0, 7.0]


def test_reports_that_were_made_again_are_lost() -> None:
    """They are counted where they were made first; no other attempt's are."""
    table = attempts_table(folded(205)).to_pydict()
    assert table["steps"] == [2, 1, 2, 0, 1]
    assert table["lost"] == [1, 1, 0, 0, 0]


@pytest.mark.parametrize("until", [9, 101, 106, 205])
def test_attempts_add_up_to_their_trial(until: float) -> None:
    """Whatever has ended of a trial is its time on a slot, and what holds of its steps is there."""
    state = folded(until)
    attempts = attempts_table(state).to_pylist()
    for trial in state.trials.values():
        own = [each for each in attempts if each["trial"] == trial.number]
        ended = sum(each["duration_s"] for each in own if each["ended"] is not None)
        assert ended == trial.duration
        assert sum(each["steps"] - each["lost"] for each in own) == len(trial.reports)
