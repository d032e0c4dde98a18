"""Kills of a population that is trained: nothing is lost, repeated or decided twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Project
from test_kill import SHIM, execution_log, finished, last_event, reach, state_of, tables

import sweep
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.store import CheckpointStore
from sweep.journal.event import TrialState

KILLS = 20


def members_spec(project: Project, **content: Any) -> Path:
    base: dict[str, Any] = {
        "program": "quadratic:train",
        "method": {"name": "pbt", "perturbation_interval": 2},
        "metric": {"name": "q", "goal": "maximize"},
        "parameters": {"share": {"min": 0.0, "max": 1.0}, "epochs": {"value": 16}},
        "trials": 8,
        "seed": 3,
    }
    return project.spec("study", **(base | content))


def assert_whole(project: Project) -> None:
    """Every member was suggested once, and every place was taken once."""
    state = state_of(project)
    study = sweep.open_study(project.store / "study")
    assert state.asked == 8
    assert list(study.trials["number"]) == list(range(8 + state.forks))
    assert set(study.trials["state"]) <= {"COMPLETE", "PRUNED"}
    taken = study.trials["exploits"].dropna()
    assert taken.is_unique
    gone = {number for number, trial in state.trials.items() if trial.state is TrialState.PRUNED}
    assert set(taken) <= gone
    assert state.forks >= 3
    assert not study.reports.duplicated(["trial", "step"]).any()
    assert project.call("replay", "study").returncode == 0


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("slots", [2, 8])
def test_kills_of_the_driver_lose_nothing(project: Project, slots: int) -> None:
    """SIGKILL at random instants, with members that take turns and with a slot for each."""
    spec = members_spec(project, concurrency=slots, resources={"cpu": 2 / slots})
    chooser = random.Random(slots)
    for _ in range(KILLS):
        before = last_event(project)
        done = finished(state_of(project)) if before >= 0 else set()
        logged = len(execution_log(project))
        process = project.start("run", spec, EPOCH_S="0.02")
        reach(project, process, before + chooser.randint(1, 40))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        again = {int(words[1]) for words in execution_log(project)[logged:]}
        assert not again & done, "a finished trial was executed again"
    ended = project.run("run", spec)
    assert ended.returncode == 0, ended.stderr
    assert_whole(project)
    often = Counter((words[1], words[2]) for words in execution_log(project))
    assert sum(often.values()) - len(often) <= 2 * slots * KILLS


def final_points(project: Project) -> dict[int, Any]:
    """What is in the newest checkpoint of each trial."""
    store = CheckpointStore(project.store / "study" / "checkpoints")
    return {
        number: store.read(CheckpointRecord.from_json(trial.kept[-1].record).manifest).tree[
            "tracked"
        ]["point"]
        for number, trial in state_of(project).trials.items()
    }


@pytest.mark.long
@pytest.mark.timeout(900)
def test_one_slot_ends_with_the_same_bits(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With one slot, kills anywhere leave the tables and final states of an unbroken run."""
    chooser = random.Random(8)
    spec = members_spec(project)
    kills = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", SHIM, "run", "--inline", str(spec)],
            cwd=project.root,
            env=os.environ | {"KILL_AT": str(chooser.randint(9, 45))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        project.processes.append(process)
        process.communicate(timeout=120)
        kills += process.returncode == -signal.SIGKILL
    assert kills == KILLS
    assert project.run("run", "--inline", spec).returncode == 0
    assert_whole(project)

    whole = Project(tmp_path_factory.mktemp("whole"))
    (whole.root / "quadratic.py").write_text((project.root / "quadratic.py").read_text())
    assert whole.run("run", "--inline", members_spec(whole)).returncode == 0
    broken = tables(project)
    for name, frame in tables(whole).items():
        pd.testing.assert_frame_equal(frame, broken[name], obj=name, check_exact=True)
    assert final_points(whole) == final_points(project)
