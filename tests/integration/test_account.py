"""What is told of a journal: each value once, and what was taken back told anew."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from sweep.integration.account import Account, Measured, Moved
from sweep.journal.event import (
    Entry,
    Event,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialReported,
    TrialRestored,
    TrialRetried,
    TrialState,
)
from sweep.journal.fold import apply
from sweep.journal.state import StudyState

BEGINNING: list[Event] = [
    StudyCreated(spec={"name": "s", "metric": {"name": "loss"}}, project="/p"),
    TrialAsked(trial=0, params={}, latents={}, seed=1, wrote={}, told=0, running=[]),
]


def attempt(number: int) -> TrialDispatched:
    return TrialDispatched(trial=0, attempt=number, session=1, checkpoint=None)


def report(step: int, **metrics: float) -> TrialReported:
    return TrialReported(trial=0, attempt=1, step=step, value=None, metrics=metrics, prune=None)


def back_to(step: int | None) -> TrialRestored:
    return TrialRestored(trial=0, attempt=2, step=step, checkpoint=None, skipped=[])


def finished(**returned: float) -> TrialFinished:
    state = TrialState.COMPLETE
    return TrialFinished(
        trial=0, attempt=1, state=state, value=1.0, checkpoint=None, metrics=returned
    )


def told(*events: Event) -> list[Any]:
    state, account, found = StudyState(), Account(), []
    for seq, event in enumerate([*BEGINNING, attempt(1), *events]):
        entry = Entry(seq=seq, time=float(seq), event=event)
        apply(state, entry)
        found += account.tell(entry, state)
    return found


def measured(*events: Event) -> list[tuple[int, dict[str, float], dict[str, float], bool]]:
    return [
        (each.step, dict(each.metrics), dict(each.fresh), each.again)
        for each in told(*events)
        if isinstance(each, Measured)
    ]


def test_steps_made_again_alike_are_not_told_again() -> None:
    """A trial that goes on exactly tells what is new, and only that; NaN is the same as NaN."""
    first = [report(0, loss=3.0), report(1, loss=math.nan), report(2, loss=2.0)]
    again = [back_to(0), attempt(2), report(1, loss=math.nan), report(2, loss=2.0)]
    assert [step for step, *_ in measured(*first, *again, report(3, loss=1.0))] == [0, 1, 2, 3]


def test_other_values_take_back_what_came_after() -> None:
    """From the first step with another value on, all is told anew; fresh is what differs."""
    first = [report(step, loss=float(step), rate=0.1) for step in range(4)]
    again = [report(1, loss=1.0, rate=0.1), report(2, loss=9.0, rate=0.1), report(3, loss=3.0)]
    assert measured(*first, back_to(0), attempt(2), *again)[4:] == [
        (2, {"loss": 9.0, "rate": 0.1}, {"loss": 9.0}, True),
        (3, {"loss": 3.0}, {}, False),
    ]


def test_later_steps_that_still_hold_are_told_with_what_took_them_back() -> None:
    """Reports beside the epochs may be ahead of them: no resume took those back, so they stay."""
    first = [report(0, loss=1.0), report(1, loss=2.0), report(2, loss=3.0, rate=0.5)]
    assert measured(*first, report(1, loss=9.0), report(1, loss=9.0))[3:] == [
        (1, {"loss": 9.0}, {"loss": 9.0}, True),
        (2, {"loss": 3.0, "rate": 0.5}, {}, False),
    ]


def test_reports_of_one_step_are_told_apart() -> None:
    """Metrics that come one by one are told one by one, and none with the other."""
    assert measured(report(0, loss=1.0), report(0, rate=0.5), report(0, rate=0.5)) == [
        (0, {"loss": 1.0}, {"loss": 1.0}, False),
        (0, {"rate": 0.5}, {"rate": 0.5}, False),
    ]


@pytest.mark.parametrize(
    ("returned", "more"),
    [
        ({}, []),
        ({"loss": 2.0}, []),
        ({"loss": 5.0, "size": 1.0}, [(1, {"loss": 5.0, "size": 1.0})]),
    ],
)
def test_what_a_trial_returns(returned: dict[str, float], more: list[Any]) -> None:
    """What was reported so last is not told again; the rest comes a step behind the reports."""
    values = measured(report(0, loss=2.0), finished(**returned))
    assert [(step, metrics) for step, metrics, *_ in values[1:]] == more


def test_states() -> None:
    """A trial that runs and one that is over is told; a second attempt is no other state."""
    moved = [each for each in told(attempt(2), finished()) if isinstance(each, Moved)]
    assert [each.time for each in moved] == [2.0, 4.0]


def test_a_retried_trial_tells_no_value_twice() -> None:
    """What a failed trial had told stands where a user has it retried: only what differs is new."""
    failed = replace(finished(), state=TrialState.FAILED, value=None, reason="ValueError")
    retried = TrialRetried(trial=0, from_scratch=True)
    rerun = [attempt(2), report(0, loss=1.0), report(1, loss=5.0)]
    found = told(report(0, loss=1.0), report(1, loss=2.0), failed, retried, *rerun, finished())
    told_again = [each for each in found if isinstance(each, Measured)][2:]
    assert [(each.step, dict(each.fresh)) for each in told_again] == [(1, {"loss": 5.0})]
    moved = [each.trial.state for each in found if isinstance(each, Moved)]
    assert len(moved) == 4
