"""Trials of several processes under a driver: stopped, killed and gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from conftest import Project, until

import sweep
from sweep.checkpoint.store import CheckpointStore

EPOCHS = 10

SLOW = {"STEP_S": "0.02"}
"""So that a trial is still at work when what is to befall it does."""


def spec_of(project: Project, name: str) -> Path:
    return project.spec(
        name,
        name=name,
        program="ranks:train",
        trials=1,
        retries=0,
        parameters={"lr": {"value": 0.01}, "epochs": {"value": EPOCHS}},
        checkpoint={"every": {"epochs": 3}},
    )


def lines(project: Project) -> list[list[str]]:
    path = project.root / "execution.log"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def steps_made(project: Project, process: subprocess.Popen[str], count: int) -> None:
    """Wait until the ranks have logged so many lines more."""
    wanted = len(lines(project)) + count
    until(lambda: len(lines(project)) >= wanted or process.poll() is not None)
    assert process.poll() is None, process.communicate()


def parts(project: Project, study: str) -> list[object]:
    """What each rank has saved at the end."""
    store = CheckpointStore(project.store / study / "checkpoints")
    (final,) = [name for name in store.manifests(0) if ".final" in name]
    return [store.read(final, rank=rank).tree["tracked"] for rank in (0, 1)]


def same(left: object, right: object) -> bool:
    import torch

    torch.testing.assert_close(left, right, rtol=0, atol=0)
    return True


@pytest.mark.parametrize(
    "options",
    [("--inline",), pytest.param((), marks=[pytest.mark.ray, pytest.mark.long])],
    ids=["inline", "ray"],
)
def test_a_driver_that_is_told_to_stop(project: Project, options: tuple[str, ...]) -> None:
    """SIGTERM to the driver: both ranks save at the same step and leave; resumed, to the bit."""
    process = project.start("run", spec_of(project, "stopped"), *options, **SLOW)
    steps_made(project, process, 20)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    study = sweep.open_study(project.store / "stopped")
    saved = study.checkpoints.iloc[-1]
    assert saved["kind"] == "stop"
    done = project.run("run", project.root / "stopped.yaml", *options)
    assert done.returncode == 0, done.stderr
    if options:
        return  # compared below, and without a driver in tests/trial/test_ranks.py
    whole = project.run("run", spec_of(project, "whole"), *options)
    assert whole.returncode == 0, whole.stderr
    assert same(parts(project, "stopped"), parts(project, "whole"))


@pytest.mark.ray
@pytest.mark.long
def test_ranks_die_with_their_driver(project: Project) -> None:
    """SIGKILL of the driver: no process of the trial is left, and the study goes on."""
    process = project.start("run", spec_of(project, "killed"), **SLOW)
    steps_made(project, process, 40)
    ranks = {int(line[-1]) for line in lines(project)}
    assert len(ranks) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until(lambda: not any(psutil.pid_exists(pid) for pid in ranks), within=20)
    done = project.run("run", project.root / "killed.yaml")
    assert done.returncode == 0, done.stderr
    assert list(sweep.open_study(project.store / "killed").trials["state"]) == ["COMPLETE"]


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_killed_rank_is_a_failed_attempt(project: Project, rank: str) -> None:
    """SIGKILL of a rank: without retries the trial has failed, and says which rank was killed."""
    process = project.start("run", spec_of(project, "rank"), **SLOW)
    steps_made(project, process, 20)
    pid = next(int(line[-1]) for line in lines(project) if line[0] == "begin" and line[2] == rank)
    os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == 1
    trial = sweep.open_study(project.store / "rank").trials.iloc[0]
    assert f"rank {rank} of 2 was killed by SIGKILL" in trial["reason"]
