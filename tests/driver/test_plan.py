"""The planner: states in, actions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sweep.driver.plan import (
    INTERRUPTED,
    Ask,
    Conclude,
    Dispatch,
    Exploit,
    Halt,
    Limits,
    is_complete,
    pause_s,
    plan,
)
from sweep.journal.event import (
    AttemptFailed,
    AttemptInterrupted,
    CheckpointSaved,
    DriverStarted,
    Entry,
    Event,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialForked,
    TrialReported,
    TrialState,
)
from sweep.journal.fold import fold
from sweep.journal.state import StudyState
from sweep.search.rounds import population_of
from sweep.spec import StudySpec


def asked(number: int) -> TrialAsked:
    return TrialAsked(trial=number, params={}, latents={}, seed=0, wrote={}, told=0, running=[])


def dispatched(number: int, attempt: int = 1) -> TrialDispatched:
    return TrialDispatched(trial=number, attempt=attempt, session=1, checkpoint=None)


def finished(number: int) -> TrialFinished:
    return TrialFinished(
        trial=number, attempt=1, state=TrialState.COMPLETE, value=0.0, checkpoint=None
    )


def started(session: int = 1) -> DriverStarted:
    return DriverStarted(session=session, host="", pid=1, versions={})


def state_of(events: Sequence[Event]) -> StudyState:
    every = [StudyCreated(spec={}, project=""), started(), *events]
    return fold(Entry(seq=seq, time=float(seq), event=e) for seq, e in enumerate(every))


def limits(**values: Any) -> Limits:
    defaults: dict[str, Any] = {"total": 4, "concurrency": None, "timeout": None, "retries": 1}
    return Limits(**(defaults | values))


def test_empty_study_asks() -> None:
    """A study with room begins with a question, and without room with nothing."""
    assert plan(state_of([]), 1, limits(), 1.0) == [Ask()]
    assert plan(state_of([]), 0, limits(), 1.0) == []


def test_unfinished_trials_come_first_in_order() -> None:
    """What was interrupted goes on before anything new begins."""
    state = state_of([asked(0), asked(1), dispatched(1), dispatched(0), started(2)])
    assert plan(state, 1, limits(), 9.0) == [Dispatch(0)]
    assert plan(state, 3, limits(), 9.0) == [Dispatch(0), Dispatch(1), Ask()]


def test_total_counts_all_trials_that_were_ever_asked() -> None:
    """No trial beyond the total is asked, however often the study was stopped."""
    state = state_of([asked(0), dispatched(0), finished(0), asked(1), dispatched(1)])
    assert plan(state, 4, limits(total=2), 9.0) == []
    assert plan(state, 4, limits(total=3), 9.0) == [Ask()]


def test_concurrency_bounds_what_executes() -> None:
    """No more trials execute than `concurrency` allows."""
    state = state_of([asked(0), dispatched(0)])
    assert plan(state, 5, limits(concurrency=1), 9.0) == []
    assert plan(state, 5, limits(concurrency=2), 9.0) == [Ask()]


def test_timeout_halts() -> None:
    """When drivers have spent the time, the study halts."""
    assert plan(state_of([]), 1, limits(timeout=10.0), 5.0) == [Ask()]
    assert plan(state_of([]), 1, limits(timeout=10.0), 50.0) == [Halt("timeout")]


def test_pruned_trial_that_had_saved_is_concluded() -> None:
    """A trial whose verdict and last checkpoint are journaled is not executed again."""
    verdict = TrialReported(trial=0, attempt=1, step=2, value=1.0, metrics={}, prune=True)

    def after(kind: str) -> StudyState:
        saved = CheckpointSaved(
            trial=0, attempt=1, step=2, checkpoint="0@3.0", record={"kind": kind}
        )
        return state_of([asked(0), dispatched(0), verdict, saved, started(2)])

    assert plan(after("pruned"), 1, limits(), 9.0)[0] == Conclude(0, TrialState.PRUNED)
    assert plan(after("periodic"), 1, limits(), 9.0)[0] == Dispatch(0)  # its epoch went on
    unsaved = state_of([asked(0), dispatched(0), verdict, started(2)])
    assert plan(unsaved, 1, limits(), 9.0)[0] == Dispatch(0)


def test_trial_with_no_retries_left_is_concluded() -> None:
    """A trial that used up its retries is failed, also when fewer are allowed than before."""
    failed = AttemptFailed(trial=0, attempt=1, reason="x", error="")
    state = state_of([asked(0), dispatched(0), failed])
    assert plan(state, 1, limits(retries=1), 9.0) == [Dispatch(0)]
    assert plan(state, 1, limits(retries=0), 9.0)[0] == Conclude(0, TrialState.FAILED)


def test_complete_means_all_finished() -> None:
    """A study is complete when every trial of the total is finished."""
    some = [asked(0), dispatched(0), finished(0)]
    assert is_complete(state_of(some), limits(total=1))
    assert not is_complete(state_of(some), limits(total=2))
    assert not is_complete(state_of([*some, asked(1)]), limits(total=2))


def members() -> Limits:
    spec = StudySpec.model_validate(
        {
            "name": "s",
            "program": "m:f",
            "method": {"name": "pbt", "perturbation_interval": 2, "quantile_fraction": 0.5},
            "metric": {"name": "loss"},
            "parameters": {"x": {"min": 0.0, "max": 1.0}},
            "trials": 3,
        }
    )
    return limits(total=3, population=population_of(spec))


def member(number: int, step: int, value: float, *, prune: bool | None = None) -> list[Event]:
    """One that has begun, and reported and saved at ``step``."""
    record = {"kind": "pruned" if prune else "stop"}
    return [
        asked(number),
        dispatched(number),
        TrialReported(
            trial=number, attempt=1, step=step, value=value, metrics={"loss": value}, prune=prune
        ),
        CheckpointSaved(
            trial=number, attempt=1, step=step, checkpoint=f"{number}@c", record=record
        ),
    ]


def test_members_run_in_turn() -> None:
    """New ones come before those with an interval behind them; then who is furthest behind."""
    two = [*member(0, 1, 1.0), *member(1, 0, 1.0), started(2)]
    assert plan(state_of(two), 2, members(), 9.0) == [Dispatch(1), Ask()]
    three = [*member(0, 3, 1.0), *member(1, 1, 1.0), *member(2, 1, 1.0), started(2)]
    assert plan(state_of(three), 3, members(), 9.0) == [Dispatch(1), Dispatch(2), Dispatch(0)]


def test_a_vacant_place_is_taken_first() -> None:
    """As soon as the member that made way is recorded as over, and once only."""
    judged = [*member(0, 1, 1.0), *member(1, 1, 2.0, prune=True), started(2)]
    assert plan(state_of(judged), 1, members(), 9.0)[0] == Conclude(1, TrialState.PRUNED)
    over = TrialFinished(
        trial=1, attempt=1, state=TrialState.PRUNED, value=2.0, checkpoint=None, reason="exploited"
    )
    assert plan(state_of([*judged, over]), 0, members(), 9.0) == [Exploit(1)]
    fork = TrialForked(
        trial=2,
        parent=0,
        source="0@c",
        step=1,
        checkpoint="2@c",
        record={"kind": "fork"},
        params={"x": 0.5},
        latents={},
        inside=True,
        exploits=1,
    )
    state = state_of([*judged, over, fork])
    assert plan(state, 1, members(), 9.0) == [Ask()]
    assert (state.asked, state.forks) == (2, 1)
    assert not is_complete(state, members())


def test_a_place_that_nobody_can_take_stays_vacant() -> None:
    """Where the others are over, the study is complete without it."""
    over = TrialFinished(
        trial=1, attempt=1, state=TrialState.PRUNED, value=2.0, checkpoint=None, reason="exploited"
    )
    events = [*member(0, 1, 1.0), *member(1, 1, 2.0, prune=True), over, asked(2), finished(0)]
    last = [*events, dispatched(2), finished(2)]
    assert plan(state_of(events), 1, members(), 9.0) == [Dispatch(2)]
    assert plan(state_of(last), 1, members(), 9.0) == []
    assert is_complete(state_of(last), members())


def test_an_ask_waits_for_the_trial_that_is_a_window_back() -> None:
    """In order, trial n is asked once all up to n - lag are finished: the slot waits till then."""
    two = [asked(0), dispatched(0), asked(1), dispatched(1)]
    assert plan(state_of(two), 2, limits(lag=3), 9.0) == [Ask()]
    assert plan(state_of(two), 2, limits(lag=2), 9.0) == []
    assert plan(state_of([*two, finished(1)]), 2, limits(lag=2), 9.0) == []
    assert plan(state_of([*two, finished(0)]), 2, limits(lag=2), 9.0) == [Ask()]


def test_a_known_result_is_taken_over() -> None:
    """A trial whose parameters have a result is concluded, needs no room, and is not dispatched."""
    known = [asked(0), dispatched(0), finished(0), replace(asked(1), reuses=0)]
    assert plan(state_of(known), 0, limits(), 9.0) == [Conclude(1, TrialState.COMPLETE)]
    after = state_of([*known, replace(finished(1), attempt=0)])
    assert plan(after, 1, limits(total=2), 9.0) == []


def test_a_grid_is_counted_anew_after_a_change() -> None:
    """Trials that are no configuration of the new grid come on top of it."""
    spec = StudySpec.model_validate(
        {
            "name": "s",
            "program": "m:f",
            "method": "grid",
            "metric": {"name": "loss"},
            "parameters": {"x": {"values": [2, 3, 4]}},
        }
    )
    state = state_of([replace(asked(n), params={"x": n}) for n in range(3)])
    assert Limits.of(spec).total == 3
    assert Limits.of(spec, state).total == 5
    assert Limits.of(spec.model_copy(update={"trials": 4}), state).total == 4


def interrupted(trial: int, count: int) -> list[Event]:
    """So many attempts of a trial, each lost with its worker."""
    return [
        event
        for attempt in range(1, count + 1)
        for event in (
            dispatched(trial, attempt),
            AttemptInterrupted(trial=trial, attempt=attempt, reason="died", error=""),
        )
    ]


def test_pauses_grow_and_are_bounded() -> None:
    """The first interruption costs no pause; each one after it doubles the pause, to 5 minutes."""
    assert [pause_s(count) for count in range(7)] == [0, 0, 1, 2, 4, 8, 16]
    assert all(pause_s(count) <= pause_s(count + 1) for count in range(60))
    assert pause_s(60) == 300.0


def test_resting_trial_blocks_no_other() -> None:
    """A trial that rests after an interruption leaves its slot to one that waits, or a new one."""
    state = state_of([asked(0), asked(1), *interrupted(0, 2)])
    assert plan(state, 2, limits(), 9.0) == [Dispatch(0), Dispatch(1)]
    assert plan(state, 2, limits(), 9.0, resting={0}) == [Dispatch(1), Ask()]
    assert plan(state, 1, limits(), 9.0, resting={0}) == [Dispatch(1)]


def test_no_new_trial_is_asked_where_all_are_interrupted() -> None:
    """A machine that fails every trial must not use up the search: three, and no more are asked."""
    two = [asked(0), asked(1), *interrupted(0, 1), *interrupted(1, 1)]
    assert Ask() in plan(state_of(two), 3, limits(), 9.0, resting={0, 1})
    three = [*two, asked(2), *interrupted(2, 1)]
    assert plan(state_of(three), 3, limits(), 9.0, resting={0, 1, 2}) == []


def test_nothing_but_interruptions_halts() -> None:
    """Eight in a row of each trial that is left halt the study, unless another one executes or can
    be asked."""
    one = limits(total=1)
    assert plan(state_of([asked(0), *interrupted(0, 7)]), 1, one, 9.0) == [Dispatch(0)]
    row = [asked(0), *interrupted(0, 8)]
    assert plan(state_of(row), 1, one, 9.0) == [Halt(INTERRUPTED)]
    assert plan(state_of(row), 1, limits(), 9.0, resting={0}) == [Ask()]
    two = [*row, asked(1)]
    assert plan(state_of([*two, dispatched(1)]), 1, limits(total=2), 9.0) == [Dispatch(0)]
    assert plan(state_of([*two, finished(1)]), 1, limits(total=2), 9.0) == [Halt(INTERRUPTED)]


def test_interruptions_and_failures_are_counted_apart() -> None:
    """Neither uses up what the spec allows of the other; no limit is the default."""
    state = state_of([asked(0), *interrupted(0, 3)])
    assert plan(state, 1, limits(retries=0), 9.0) == [Dispatch(0)]
    assert plan(state, 1, limits(retries=0, interruptions=3), 9.0) == [Dispatch(0)]
    lost = plan(state, 1, limits(retries=9, interruptions=2), 9.0)
    assert lost[0] == Conclude(0, TrialState.FAILED)
