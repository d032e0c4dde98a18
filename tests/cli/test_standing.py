"""How a study and its trials stand, as commands say it."""

from __future__ import annotations

import pytest

from sweep.cli.standing import counts_text, state_text
from sweep.driver.summary import spent
from sweep.journal.event import TrialAsked, TrialState
from sweep.journal.state import StudyState, Trial


def trial(number: int = 0, **fields: object) -> Trial:
    asked = TrialAsked(trial=number, params={}, latents={}, seed=0, wrote={}, told=0, running=[])
    made = Trial(number=number, asked=asked, started=0.0, updated=0.0)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_time_of_a_running_trial_counts() -> None:
    """What an attempt has taken so far is in the time, also where its driver was killed."""
    begun = trial(attempts=2, executing=True, duration=3.0, dispatched=10.0, updated=17.0)
    assert spent(begun) == 10.0
    assert spent(trial(attempts=1, duration=3.0, dispatched=10.0, updated=17.0)) == 3.0


@pytest.mark.parametrize(
    ("status", "said"), [("running", "running"), ("interrupted", "interrupted")]
)
def test_unfinished_trials_are_told_apart(status: str, said: str) -> None:
    """What was never begun is queued; what was begun runs only where a driver does."""
    assert state_text(trial(), status) == "queued"
    assert state_text(trial(attempts=1), status) == said
    assert state_text(trial(attempts=1, state=TrialState.PRUNED), status) == "pruned"
    state = StudyState()
    state.trials = {0: trial(0, attempts=1), 1: trial(1), 2: trial(2)}
    state.running = dict(state.trials)
    assert counts_text(state, status) == f"3 trials (1 {said}, 2 queued)"
