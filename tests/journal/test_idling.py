"""The slot time that was lost while trials were left to ask."""

from __future__ import annotations

from sweep.journal.event import (
    DriverStarted,
    DriverStopped,
    Entry,
    Event,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialState,
)
from sweep.journal.fold import fold


def asked(number: int) -> TrialAsked:
    return TrialAsked(trial=number, params={}, latents={}, seed=0, wrote={}, told=0, running=[])


def dispatched(number: int) -> TrialDispatched:
    return TrialDispatched(trial=number, attempt=1, session=1, checkpoint=None)


def finished(number: int) -> TrialFinished:
    return TrialFinished(
        trial=number, attempt=1, state=TrialState.COMPLETE, value=0.0, checkpoint=None
    )


def started(session: int, slots: int | None = 2) -> DriverStarted:
    return DriverStarted(session=session, host="", pid=1, versions={}, slots=slots)


def share(*events: tuple[float, Event], deterministic: bool = True) -> float | None:
    created = StudyCreated(spec={"deterministic": deterministic}, project="")
    every = [(0.0, created), *events]
    entries = [Entry(seq=seq, time=time, event=event) for seq, (time, event) in enumerate(every)]
    return fold(entries).idling.share


BEGUN = ((0.0, started(1)), (0.0, asked(0)), (0.0, dispatched(0)), (0.0, asked(1)))


def test_idle_slots_are_lost_until_the_last_ask() -> None:
    """Two slots: both busy for 3 s, one idle for 1 s, then an ask; after it nothing counts."""
    events = (
        *BEGUN,
        (0.0, dispatched(1)),
        (3.0, finished(1)),
        (4.0, finished(0)),
        (4.0, asked(2)),
        (4.0, dispatched(2)),
        (9.0, finished(2)),
    )
    assert share(*events) == 1 / 8
    assert share(*events, deterministic=False) is None


def test_the_end_of_a_session_and_the_time_between_two_do_not_count() -> None:
    """What drains at a stop, or nobody runs, was not lost by waiting."""
    events = (
        *BEGUN,
        (0.0, dispatched(1)),
        (3.0, finished(1)),
        (5.0, DriverStopped(session=1, reason="stopped")),
        (60.0, started(2)),
        (60.0, dispatched(0)),
        (61.0, asked(2)),
    )
    assert share(*events) == 1 / 2  # of the second session: two slots for 1 s


def test_shared_slots_are_not_measured() -> None:
    """A driver of several studies has no slots for one of them; nor has one of older versions."""
    assert share((0.0, started(1, None)), (0.0, asked(0)), (5.0, asked(1))) is None
