"""Workers that are killed, by the system or by Ray's memory monitor: pauses, and where they end."""

from __future__ import annotations

import random
import time

import pandas as pd
import psutil
import pytest
from conftest import Project, until
from test_server_death import (
    assert_nothing_lost,
    both_have_got_further,
    finish,
    spec_of,
    state_of,
)

import sweep

DIES = """
import os, signal, time
from pathlib import Path


def train(trial):
    '''The worker of trial 0 is killed before it gets further, so often as a file says.'''
    trial.track()
    for epoch in trial.epochs(6):
        times = Path(__file__).with_name("times")
        if trial.number == 0 and epoch == 0 and (left := int(times.read_text())):
            times.write_text(str(left - 1))
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
        trial.report(loss=trial.params.x)
"""


def dying(project: Project, times: int) -> None:
    (project.root / "dies.py").write_text(DIES)
    (project.root / "times").write_text(str(times))


def pauses(project: Project) -> list[float]:
    """Seconds from each interruption of trial 0 to its next attempt."""
    frame = pd.read_parquet(project.store / "s" / "journal")
    of_trial = frame[frame["trial"] == 0].sort_values("seq")
    died = of_trial[of_trial["type"] == "attempt_interrupted"]["time"]
    begun = of_trial[of_trial["type"] == "trial_dispatched"]["time"].iloc[1:]
    return [(after - before).total_seconds() for before, after in zip(died, begun, strict=False)]


@pytest.mark.ray
def test_trial_that_is_killed_again_and_again_rests(project: Project) -> None:
    """Its attempts have growing pauses in between, in which the others run; no retry is used up,
    and it ends as soon as it is left alone."""
    dying(project, 4)
    done = project.run("run", spec_of(project, program="dies:train", trials=6))
    assert done.returncode == 0, done.stderr
    study = sweep.open_study(project.store / "s")
    assert set(study.trials["state"]) == {"COMPLETE"}
    assert study.trials["attempts"].tolist() == [5, 1, 1, 1, 1, 1]
    first = state_of(project).trials[0]
    assert (first.failures, first.interruptions) == (0, 4)
    waited = pauses(project)
    assert waited[1] >= 1.0
    assert waited[2] >= 2.0
    assert waited[3] >= 4.0
    assert "attempt 4 was interrupted" in done.stdout
    assert "it is tried again in 4.0s" in done.stdout
    began = study.attempts.groupby("trial")["began"].min()
    assert began[2] < study.trials["finished"][0], "the others waited for a trial that rests"
    assert project.call("replay", "s").returncode == 0


@pytest.mark.ray
@pytest.mark.long
def test_interruptions_are_bounded_where_the_spec_says_so(project: Project) -> None:
    """`interruptions: 1`: the second one fails the trial, and says of what."""
    dying(project, 9)
    spec = spec_of(project, program="dies:train", trials=2, interruptions=1, retries=9)
    done = project.run("run", spec)
    assert done.returncode == 1, done.stderr
    study = sweep.open_study(project.store / "s")
    assert study.trials["state"].tolist() == ["FAILED", "COMPLETE"]
    assert "interrupted 2 times" in study.trials["reason"][0]
    assert state_of(project).trials[0].given_up
    assert project.call("replay", "s").returncode == 0


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(900)
def test_nothing_but_interruptions_halts_the_study(project: Project) -> None:
    """A trial whose worker is killed again and again: the others end, then the study halts with one
    line and exit code 4, and a resume completes it once the machine is mended."""
    dying(project, 99)
    done = project.start("run", spec_of(project, program="dies:train", trials=3))
    out, err = done.communicate(timeout=600)
    assert done.returncode == 4, (out, err)
    assert "nothing but interruptions happens: trial 0 was interrupted 8 times" in err
    assert "Traceback" not in err
    assert out.splitlines()[-1].endswith("sweep resume s")
    state = state_of(project)
    assert (state.finished, state.trials[0].failures) == (2, 0)
    (project.root / "times").write_text("0")
    assert project.run("resume", "s").returncode == 0
    assert set(sweep.open_study(project.store / "s").trials["state"]) == {"COMPLETE"}


@pytest.mark.ray
@pytest.mark.long
def test_start_without_memory_is_one_line(project: Project) -> None:
    """Where Ray's memory monitor kills the first workers, that is said, with exit code 4."""
    spec = spec_of(project)
    process = project.start(
        "run", spec, RAY_memory_usage_threshold="0.01", RAY_memory_monitor_refresh_ms="50"
    )
    out, err = process.communicate(timeout=300)
    assert process.returncode == 4, (out, err)
    assert "low on memory" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (project.store / "s" / "journal").exists()


HUNGRY = """
import time
from pathlib import Path

import psutil


def train(trial):
    '''While there is a file, trial 0 takes memory until there is less left than it says.'''
    trial.track()
    taken, hungry = [], Path(__file__).with_name("hungry")
    for epoch in trial.epochs(40):
        while trial.number == 0 and epoch >= 2 and hungry.exists():
            if len(taken) < 30 and psutil.virtual_memory().available > int(hungry.read_text()):
                taken.append(bytearray(b"x" * 200_000_000))
            time.sleep(0.01)
        trial.report(loss=trial.params.x)
"""


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(900)
def test_memory_monitor_interrupts_and_fails_nobody(project: Project) -> None:
    """Ray's memory monitor kills a worker that takes too much: said as what it is, no retry is used
    up, and the trial ends once there is memory."""
    (project.root / "hungry.py").write_text(HUNGRY)
    memory = psutil.virtual_memory()
    left = memory.available - 2e9
    (project.root / "hungry").write_text(str(int(left - 1e9)))
    threshold = 1 - left / memory.total
    driver = project.start(
        "run",
        spec_of(project, program="hungry:train", trials=2),
        RAY_memory_usage_threshold=f"{threshold:.4f}",
        RAY_memory_monitor_refresh_ms="50",
    )
    until(
        lambda: (
            (project.store / "s" / "journal").exists()
            and any(trial.interruptions for trial in state_of(project).trials.values())
        ),
        within=120,
    )
    (project.root / "hungry").unlink()
    out, err = driver.communicate(timeout=200)
    assert driver.returncode == 0, err
    assert "low on memory" in out
    assert_nothing_lost(project)


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(900)
def test_ten_workers_are_killed_by_the_system(project: Project) -> None:
    """SIGKILL of a worker at ten random instants, as the system does where memory runs out: each
    trial goes on from its checkpoint, and none has failed."""
    chooser = random.Random(14)
    driver = project.start("run", spec_of(project))
    for round_ in range(10):
        both_have_got_further(project)
        time.sleep(chooser.uniform(0.0, 0.5))
        children = psutil.Process(driver.pid).children(recursive=True)
        workers = [each for each in children if each.name().startswith("ray::_Actor")]
        chooser.choice(workers).kill()
        until(
            lambda done=round_: (
                sum(each.interruptions for each in state_of(project).trials.values()) > done
            )
        )
    both_have_got_further(project)
    finish(project, driver)
    assert_nothing_lost(project)
