"""Commands that look at a study which another process runs: they show all that is durable."""

from __future__ import annotations

import json
from typing import Any

from conftest import Project, until

import sweep
from sweep.journal.event import TrialReported
from sweep.journal.follower import Follower
from sweep.paths import StudyPaths

GATED = """
import time
from pathlib import Path


def train(trial):
    for epoch in trial.epochs(3):
        while trial.number and not Path(f"go-{epoch}").exists():
            time.sleep(0.005)
        trial.report(loss=1 / (1 + epoch + trial.number))
    while trial.number and not Path("end").exists():
        time.sleep(0.005)
"""


def test_each_command_shows_what_has_just_happened(project: Project) -> None:
    """As soon as an event is durable, it is in the answers; nothing waits for tables."""
    (project.root / "gated.py").write_text(GATED)
    run = project.start("run", "--inline", project.spec("s", program="gated:train", trials=2))
    paths = StudyPaths.of(project.store, "s")
    until(paths.begun)
    follower = Follower(paths.journal)

    def reported(step: int) -> bool:
        found = [entry.event for entry in follower.new()]
        return any(
            isinstance(each, TrialReported) and (each.trial, each.step) == (1, step)
            for each in found
        )

    def answer(*command: str) -> Any:
        done = project.call(*command, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    for step in range(3):
        (project.root / f"go-{step}").touch()
        until(lambda step=step: reported(step))
        assert [each["step"] for each in answer("show", "s/1")["reports"]] == [*range(step + 1)]
        (listed,) = answer("ls")
        assert (listed["status"], listed["states"]) == ("running", {"RUNNING": 1, "COMPLETE": 1})
        assert listed["best"]["trial"] == answer("best", "s")[0]["trial"] == 0
        assert answer("show", "s")["states"] == listed["states"]
        study = sweep.open_study(paths.root)
        assert (study.running, repr(study)) == (True, "<Study s: 2 trials, running>")
        assert list(study.reports.query("trial == 1")["step"]) == [*range(step + 1)]
    (project.root / "end").touch()
    run.wait(60)
    assert (study.running, repr(study)) == (False, "<Study s: 2 trials>")
    assert answer("best", "s")[0]["trial"] == 1
    assert answer("ls")[0]["status"] == "complete"
