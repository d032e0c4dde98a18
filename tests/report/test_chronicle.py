"""What happened in a study, from its events without the reports."""

from __future__ import annotations

from pathlib import Path

from report_study import asked, begun, finished, reported, session, spec_of, told, write

from sweep.journal.attempt import End
from sweep.journal.event import (
    AttemptFailed,
    DriverStopped,
    SpecChanged,
    TrialReported,
    TrialState,
)
from sweep.journal.segment import read_entries
from sweep.report.chronicle import read_chronicle

EVENTS = [
    session(1),
    asked(0, x=0.1),
    begun(0),
    reported(0, 0, loss=1.0),
    reported(0, 1, loss=1.0),
    session(2),
    begun(0, 2, 2),
    reported(0, 2, 2, loss=1.0),
    AttemptFailed(trial=0, attempt=2, reason="no luck", error="Traceback"),
    begun(0, 3, 2),
    finished(0, None, TrialState.FAILED, 3, reason="no luck", error="Traceback"),
    asked(1, x=0.2),
    begun(1, 1, 2),
    reported(1, 0, loss=1.0),
    reported(1, 1, loss=1.0),
]


def test_reports_are_passed_over_but_for_the_last_of_a_session(tmp_path: Path) -> None:
    """They are not decoded; yet it is known until when a driver lived that was killed."""
    paths = write(tmp_path, spec_of(), EVENTS)
    entries = list(read_entries(paths.journal, without={TrialReported.type}))
    assert [each.seq for each in entries if isinstance(each.event, TrialReported)] == [5, 15]
    assert len(list(read_entries(paths.journal))) == len(EVENTS) + 1
    assert len(entries) == len(EVENTS) + 1 - 3


def test_attempts_end_as_they_did(tmp_path: Path) -> None:
    """Killed with their driver, failed, or still running; a failure is told once."""
    paths = write(tmp_path, spec_of(), EVENTS)
    chronicle = read_chronicle(paths.journal, 99)
    chronicle.conclude(running=True)
    assert [(each.trial, each.number, each.end) for each in chronicle.attempts] == [
        (0, 1, End.KILLED),
        (0, 2, End.FAILED),
        (0, 3, End.FAILED),
        (1, 1, End.RUNNING),
    ]
    assert [each.ended - each.began for each in chronicle.attempts] == [2.0, 2.0, 1.0, 2.0]
    assert [(each.trial, each.attempt) for each in chronicle.failures] == [(0, 2)]
    assert [each.reason for each in chronicle.sessions] == [None, None]


def test_a_spec_that_a_resume_changes_lengthens_no_killed_session(tmp_path: Path) -> None:
    """It is journaled before the session that wants it; also in a segment with what came before."""
    spec = spec_of()
    changed = SpecChanged(spec=spec.model_dump(mode="json"), project="/p", changes=["trials"])
    paths = write(tmp_path, spec, [*EVENTS[:5], changed, *EVENTS[5:]])
    chronicle = read_chronicle(paths.journal, 99)
    assert [each.ended - each.began for each in chronicle.attempts[:1]] == [2.0]
    assert [each.ended - each.began for each in chronicle.sessions[:1]] == [4.0]


def test_front_is_what_was_told(tmp_path: Path) -> None:
    """Trials enter it and leave it."""
    events = [
        session(1),
        *(asked(trial, x=0.1) for trial in range(2)),
        *(begun(trial) for trial in range(2)),
        *(finished(trial, 1.0, values=[1.0, 1.0]) for trial in range(2)),
        told(0, 0, 1.0, values=[1.0, 1.0], entered=True),
        told(1, 1, 1.0, values=[1.0, 1.0], entered=True, left=[0]),
        DriverStopped(session=1, reason="complete"),
    ]
    chronicle = read_chronicle(write(tmp_path, spec_of(), events).journal, 99)
    assert chronicle.front == {1}
    assert chronicle.sessions[0].reason == "complete"
