"""The planner and paused trials: states in, actions out."""

from __future__ import annotations

from dataclasses import replace

from test_plan import asked, dispatched, limits, started, state_of

from sweep.driver.plan import Ask, Conclude, Dispatch, Promote, is_complete, plan
from sweep.journal.event import (
    CheckpointSaved,
    Event,
    TrialPaused,
    TrialPromoted,
    TrialReported,
    TrialState,
)
from sweep.search.promotion import Candidate

REACHED = TrialReported(trial=0, attempt=1, step=1, value=1.0, metrics={}, prune=None, rung=2)
PAUSED = TrialPaused(trial=0, attempt=1, step=1, value=1.0, checkpoint=None, rung=2)
BEGUN = [asked(0), dispatched(0), REACHED]


def test_candidate_comes_before_a_new_trial() -> None:
    """A promotion comes before an ask, but after what runs already, and needs a slot."""
    state, candidate = state_of([*BEGUN, PAUSED]), Candidate(0, 2)
    assert plan(state, 1, limits(), 9.0, candidate) == [Promote(0, 2)]
    assert plan(state, 0, limits(), 9.0, candidate) == []
    assert plan(state, 1, limits(), 9.0) == [Ask()]
    waiting = state_of([*BEGUN, PAUSED, asked(1)])
    assert plan(waiting, 1, limits(), 9.0, candidate) == [Dispatch(1)]


def test_promoted_trial_is_dispatched() -> None:
    """A kill between a promotion and its dispatch loses nothing."""
    state = state_of([*BEGUN, PAUSED, TrialPromoted(trial=0, rung=2), started(2)])
    assert plan(state, 1, limits(), 9.0) == [Dispatch(0)]


def test_paused_trials_are_over_when_nothing_can_promote_them() -> None:
    """Only once all trials are asked, none runs, and none may go on; a slot is not needed."""
    state = state_of([*BEGUN, PAUSED])
    assert plan(state, 0, limits(total=1), 9.0) == [Conclude(0, TrialState.PRUNED)]
    assert plan(state, 0, limits(total=1), 9.0, Candidate(0, 2)) == []
    other_runs = state_of([*BEGUN, PAUSED, asked(1), dispatched(1)])
    assert plan(other_runs, 3, limits(total=2), 9.0) == []
    assert not is_complete(state, limits(total=1))


def test_trial_that_had_saved_for_its_pause_is_paused() -> None:
    """A trial whose rung and last checkpoint are journaled is not executed again.

    The checkpoint is of that rung: where reports before the training took the one of a lower rung
    to a higher step, steps do not tell.
    """

    def saved(kind: str) -> CheckpointSaved:
        record = {"kind": kind}
        return CheckpointSaved(trial=0, attempt=1, step=2, checkpoint="0@3.0", record=record)

    def next_of(*events: Event) -> list[object]:
        return plan(state_of([*BEGUN, *events, started(2)]), 1, limits(), 99.0)[:1]

    assert next_of() == [Dispatch(0)]
    assert next_of(saved("paused")) == [Conclude(0, TrialState.PAUSED)]
    assert next_of(saved("periodic")) == [Dispatch(0)]  # its epoch went on
    higher = replace(REACHED, step=1, rung=3)
    promoted = [saved("paused"), PAUSED, TrialPromoted(trial=0, rung=2), dispatched(0, 2), higher]
    assert next_of(*promoted) == [Dispatch(0)]
    assert next_of(*promoted, saved("periodic")) == [Dispatch(0)]
    assert next_of(*promoted, saved("paused")) == [Conclude(0, TrialState.PAUSED)]
