"""Ray itself dies under a run: no trial is failed for it, and the study ends or can be resumed."""

from __future__ import annotations

import json
import random
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from conftest import Project, until
from ray_node import Start

import sweep
from sweep.journal.journal import read_state
from sweep.journal.state import StudyState

PROGRAM = """
import time
from pathlib import Path


def train(trial):
    trial.track()
    for epoch in trial.epochs(100_000):
        time.sleep(0.05)
        trial.report(loss=trial.params.x)
        if epoch >= 20 and Path(ROOT, "enough").exists():
            break
"""


def spec_of(project: Project, **content: object) -> Path:
    """Two trials at a time that run until there is a file; no retry is allowed."""
    place = f"ROOT = {str(project.root)!r}\n"  # a cluster has a copy of the program elsewhere
    (project.root / "patient.py").write_text(place + PROGRAM)
    base = {"program": "patient:train", "trials": 4, "concurrency": 2, "retries": 0, "seed": 2}
    return project.spec("s", **(base | content))


def state_of(project: Project) -> StudyState:
    return read_state(project.store / "s" / "journal")


def steps(project: Project) -> list[int]:
    """How far each trial that is running has come."""
    if not (project.store / "s" / "journal").exists():
        return []
    return [trial.furthest for trial in state_of(project).running.values() if trial.executing]


def both_have_got_further(project: Project) -> None:
    """Wait until two trials run that have reported since now."""
    before = sum(steps(project))
    until(lambda: len(now := steps(project)) == 2 and min(now) >= 2 and sum(now) > before)


def part(driver: subprocess.Popen[str], name: str) -> psutil.Process:
    """The process of Ray under a driver that has this name."""

    def found() -> list[psutil.Process]:
        children = psutil.Process(driver.pid).children(recursive=True)
        return [each for each in children if each.name() == name]

    process: psutil.Process = until(found)[0]
    return process


def finish(project: Project, driver: subprocess.Popen[str]) -> str:
    (project.root / "enough").touch()
    out, err = driver.communicate(timeout=200)
    assert driver.returncode == 0, err
    return out + err


def assert_nothing_lost(project: Project) -> None:
    """All trials are complete, none has failed once, and each has every step."""
    study = sweep.open_study(project.store / "s")
    assert set(study.trials["state"]) == {"COMPLETE"}
    assert all(trial.failures == 0 for trial in state_of(project).trials.values())
    for _, reports in study.reports.groupby("trial"):
        assert list(reports["step"]) == list(range(len(reports)))
    assert project.call("replay", "s").returncode == 0


@pytest.mark.ray
@pytest.mark.parametrize("name", ["raylet", pytest.param("gcs_server", marks=pytest.mark.long)])
def test_dead_server_is_started_again(project: Project, name: str) -> None:
    """SIGKILL of Ray's server or of its head: Ray is started again, and no retry is used up. The
    standard output has nothing of Ray's."""
    driver = project.start("run", spec_of(project), "--json")
    both_have_got_further(project)
    part(driver, name).kill()
    both_have_got_further(project)
    (project.root / "enough").touch()
    out, err = driver.communicate(timeout=200)
    assert driver.returncode == 0, err
    assert all(json.loads(line) for line in out.splitlines())
    assert "it is started again" in err
    assert_nothing_lost(project)
    ends = set(sweep.open_study(project.store / "s").attempts["end"])
    # Without the head workers can still be reached: so they save first.
    assert ends == {"complete", "interrupted" if name == "raylet" else "stopped"}


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_ten_deaths_of_the_server(project: Project, name: str) -> None:
    """Ten kills at random instants: the study ends as if nothing had happened."""
    chooser = random.Random(11)
    driver = project.start("run", spec_of(project))
    for _ in range(10):
        both_have_got_further(project)
        time.sleep(chooser.uniform(0.0, 1.5))  # the instant is what is drawn
        part(driver, name).kill()
    both_have_got_further(project)
    assert finish(project, driver).count("it is started again") == 10
    assert_nothing_lost(project)


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rounds", [1, 10])
def test_dead_head_of_a_cluster_halts(project: Project, ray_node: Start, rounds: int) -> None:
    """SIGKILL of the head of a cluster: trials save, the exit code is 4, and a resume on another
    cluster ends the study."""
    chooser, spec = random.Random(12), spec_of(project)
    for _ in range(rounds):
        head = ray_node(2)
        driver = project.start("run", spec, "--address", head.address)
        both_have_got_further(project)
        time.sleep(chooser.uniform(0.0, 1.5))
        head.process("gcs_server").kill()
        out, err = driver.communicate(timeout=120)
        assert driver.returncode == 4, err
        assert "its head has not answered" in err
        assert "Traceback" not in err
        assert out.splitlines()[-1].endswith("sweep resume s")
        assert all(trial.kept for trial in state_of(project).running.values())
        head.kill()
    head = ray_node(2)
    driver = project.start("resume", "s", "--address", head.address)
    finish(project, driver)
    assert_nothing_lost(project)


@pytest.mark.ray
@pytest.mark.long
def test_start_that_takes_too_long_is_one_line(project: Project) -> None:
    """Where Ray's server hangs while it starts, the driver says so after Ray's 30 s, exits with 4,
    and no study is begun."""
    driver = project.start("run", spec_of(project))
    part(driver, "raylet").suspend()
    _, err = driver.communicate(timeout=200)
    assert driver.returncode == 4, err
    assert "did not start" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (project.store / "s" / "journal").exists()
