"""Attempts that end before they save: what was lost is counted, and the user is told what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Project

import sweep
from sweep.driver.unsaved import advice, unsaved_attempts
from sweep.journal.attempt import Attempt, End
from sweep.journal.event import AttemptFailed, TrialAsked
from sweep.journal.state import Checkpoint, Trial


def killed(project: Project, spec: Path, times: int) -> str:
    """Run a study so often that its driver, and the trial in it, dies; what it said at its end."""
    (project.root / "lives").write_text(str(times))
    for _ in range(times):
        assert project.run("run", "--inline", spec).returncode == -9
    done = project.run("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_steps_within_an_epoch_are_lost(project: Project) -> None:
    """Each attempt that is killed at its 30th step has lost the 29 that were complete, though it
    has never reported; as the third begins the user is told to have it save sooner."""
    spec = project.spec("s", program="unsaved:dies", trials=1)
    warned = killed(project, spec, 2)
    assert "s: trial 0: its last 2 attempts ended before anything was saved" in warned
    assert "--set 'checkpoint.every={steps: 14}'" in warned
    attempts = sweep.open_study(project.store / "s").attempts
    assert list(attempts["lost"]) == [29, 29, 0]
    assert list(attempts["steps"]) == [0, 0, 2]
    assert project.call("replay", "s").returncode == 0
    assert not list((project.store / "s" / "traces").iterdir())


def test_show_has_it(project: Project) -> None:
    """`sweep show STUDY/TRIAL` has the advice while the trial has still not saved."""
    spec = project.spec("s", program="unsaved:dies", trials=1)
    (project.root / "lives").write_text("9")
    for _ in range(3):
        project.run("run", "--inline", spec)
    shown = project.call("show", "s/0")
    assert "note" in shown.stdout
    assert "its last 2 attempts ended before anything was saved" in shown.stdout
    record = json.loads(project.call("show", "s/0", "--json").stdout)
    assert record["unsaved_attempts"] == 2


def trial(*ends: End, saved: tuple[int, ...] = (), **more: Any) -> Trial:
    asked = TrialAsked(trial=0, params={}, latents={}, seed=1, wrote={}, told=0, running=[])
    made = Trial(number=0, asked=asked, started=0.0, updated=0.0, **more)
    made.executions = [
        Attempt(0, place + 1, 10.0 * place, 10.0 * place + place + 1, end)
        for place, end in enumerate(ends)
    ]
    for attempt in saved:
        made.checkpoints[str(attempt)] = Checkpoint(str(attempt), 0, attempt, 0, {}, 0.0)
    return made


@pytest.mark.parametrize(
    ("made", "count"),
    [
        (trial(), 0),
        (trial(End.KILLED), 1),
        (trial(End.KILLED, End.STOPPED, End.RUNNING), 2),
        (trial(End.KILLED, End.PAUSED, End.KILLED), 1),
        (trial(End.KILLED, End.KILLED, End.KILLED, saved=(2,)), 1),
        (trial(End.FAILED, End.FAILED), 2),
        (
            trial(
                End.KILLED,
                End.FAILED,
                failed=[AttemptFailed(trial=0, attempt=2, reason="ValueError: x", error="")],
            ),
            0,
        ),
    ],
)
def test_what_counts(made: Trial, count: int) -> None:
    """Attempts in a row that were cut off count; one that saved, paused or raised ends the row."""
    assert len(unsaved_attempts(made)) == count
    assert (advice(made) is None) == (count < 2)


def test_advice_without_steps() -> None:
    """A trial that calls no `trial.step()` is told to, since nothing else can be saved sooner."""
    said = advice(trial(End.KILLED, End.KILLED))
    assert said is not None
    assert "trial.step() in its loop" in said
    assert "every: {steps: n}" in said
    assert "the longest after 2.0s" in said
