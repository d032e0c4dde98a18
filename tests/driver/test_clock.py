"""The system's clock jumps under a run: nothing that is measured or decided moves with it."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project

import sweep
from sweep.checkpoint.retention import Reason
from sweep.journal.segment import read_entries

DAY_S = 86_400.0

MOVED = """
import time, pathlib
_time, _offset = time.time, pathlib.Path(__file__).with_name("offset")
def moved():
    try:
        return _time() + float(_offset.read_text() or 0)
    except FileNotFoundError:
        return _time()
time.time = moved
time.time_ns = lambda: int(moved() * 1e9)
"""
"""As `sitecustomize`: the clock of every Python process, Ray's workers too, set by a file."""

PROGRAM = """
import os, pathlib, time
import numpy as np

HERE = pathlib.Path(os.environ["PYTHONPATH"])

def train(trial):
    jumps = eval(os.environ["JUMPS"])
    for epoch in trial.epochs(6):
        trial.state["w"] = np.full(8, epoch, float)
        if (trial.number, epoch) in jumps:
            (HERE / "offset").write_text(str(jumps[trial.number, epoch]))
        time.sleep(0.03)
        trial.report(loss=trial.params.x / (1 + epoch))
"""


class Moved:
    """A project whose processes read a clock that a file moves."""

    def __init__(self, project: Project) -> None:
        self.project, self.site = project, project.root / "site"
        self.site.mkdir()
        (self.site / "sitecustomize.py").write_text(MOVED)
        (project.root / "jumping.py").write_text(PROGRAM)

    def spec(self, **content: object) -> Path:
        base: dict[str, object] = {
            "program": "jumping:train",
            "checkpoint": {"every": {"epochs": 1}, "keep": {"last": 20, "age": "1h"}},
            "timeout": "1h",
            "trials": 3,
        }
        return self.project.spec("study", **(base | content))

    def set(self, offset: float) -> None:
        (self.site / "offset").write_text(str(offset))

    def run(self, spec: Path, jumps: dict[tuple[int, int], float], *options: str) -> str:
        done = self.project.run("run", *options, spec, PYTHONPATH=str(self.site), JUMPS=repr(jumps))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    def check(self, trials: int) -> pd.DataFrame:
        """All is complete and kept, no duration is of another order than the work; the trials."""
        root = self.project.store / "study"
        study = sweep.open_study(root)
        assert list(study.trials["state"]) == ["COMPLETE"] * trials
        assert (study.trials["duration_s"] >= 6 * 0.03).all()
        assert (study.attempts["duration_s"] > 0).all()
        assert study.trials["duration_s"].max() < 600
        entries = list(read_entries(root / "journal"))
        events = [entry.event for entry in entries]
        assert not [each for each in events if getattr(each, "reason", "") == Reason.AGE]
        times = [entry.time for entry in entries]
        assert times == sorted(times)
        return study.trials


@pytest.mark.parametrize("jump", [DAY_S, -DAY_S])
def test_a_jump_moves_no_duration_and_ends_no_study(project: Project, jump: float) -> None:
    """A day forward or back under a timeout of an hour and an age of an hour: every trial completes
    with its true duration, and every checkpoint stays."""
    moved = Moved(project)
    moved.run(moved.spec(), {(0, 2): jump, (1, 3): 0.0, (2, 4): -jump}, "--inline")
    trials = moved.check(3)
    span = trials["finished"].max() - trials["started"].min()
    assert span < pd.Timedelta(minutes=10)


def test_a_clock_that_is_behind_at_the_next_session(project: Project) -> None:
    """A resume with a clock that was set back by a day goes on from the newest event, and its
    durations are true."""
    moved = Moved(project)
    moved.run(moved.spec(trials=1), {}, "--inline")
    moved.set(-DAY_S)
    said = moved.run(moved.spec(trials=2), {}, "--inline")
    assert "the system's clock is" in said
    assert "behind the newest event" in said
    trials = moved.check(2)
    assert trials["started"][1] >= trials["finished"][0]


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(1200)
def test_clocks_that_jump_anywhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ten seeded rounds of jumps up to ten days either way, in trials on two slots of Ray."""
    chooser = random.Random(14)
    programs = Path(__file__).parents[1] / "program"
    for number in range(10):
        root = tmp_path_factory.mktemp(f"round{number}")
        (root / "odd.py").write_text((programs / "odd.py").read_text())
        moved = Moved(Project(root))
        jumps = {
            (chooser.randrange(4), chooser.randrange(6)): chooser.uniform(-10, 10) * DAY_S
            for _ in range(5)
        }
        moved.set(chooser.choice([0.0, 3 * DAY_S]))
        moved.run(moved.spec(trials=4, concurrency=2), jumps)
        moved.check(4)
