"""Signals that announce an end: the trials save, the driver leaves with 128 and the number, and the
study resumes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Project, until
from test_kill import state_of

from sweep.driver.stopping import StopSignals
from sweep.journal.attempt import End

HANGUPS = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


def sleeping(project: Project) -> Path:
    return project.spec("study", program="odd:sleeps", trials=1)


def running(project: Project) -> None:
    """Wait until the trial has reported: it trains."""
    until(lambda: (project.root / "running-0").exists())
    until(lambda: any(trial.reports for trial in state_of(project).trials.values()))


def assert_saved(project: Project, reason: str) -> None:
    """The session ended in order, and the trial has saved all that it had reported."""
    state = state_of(project)
    assert state.stopped is not None
    assert state.stopped.reason == reason
    trial = state.trials[0]
    assert trial.executions[-1].end is End.STOPPED
    assert not trial.failed
    assert trial.kept[-1].step == max(trial.reports)


@pytest.mark.parametrize("number", HANGUPS)
def test_a_hangup_saves_and_leaves(project: Project, number: signal.Signals) -> None:
    """SIGHUP, SIGUSR1 and SIGUSR2 do what SIGTERM does, and may come again meanwhile."""
    driver = project.start("run", "--inline", sleeping(project))
    running(project)
    driver.send_signal(number)
    driver.send_signal(number)
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 128 + number, err
    assert f"interrupted ({number.name}), all is saved" in out
    assert_saved(project, number.name)


@pytest.mark.ray
def test_a_hangup_of_the_whole_group(project: Project) -> None:
    """Sent to Ray's servers and the workers as well, as shells do: the trial saves all the same."""
    driver = subprocess.Popen(
        [sys.executable, "-m", "sweep", "run", str(sleeping(project))],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    project.processes.append(driver)
    running(project)
    for number in HANGUPS:
        os.killpg(driver.pid, number)
    out, err = driver.communicate(timeout=120)
    first = next(number for number in HANGUPS if 128 + number == driver.returncode)
    assert f"interrupted ({first.name}), all is saved" in out, err
    assert_saved(project, first.name)


def test_a_terminal_that_closes(project: Project) -> None:
    """The study is saved, though nothing can be written any more."""
    master, slave = pty.openpty()
    driver = subprocess.Popen(
        [sys.executable, "-m", "sweep", "run", "--inline", str(sleeping(project))],
        cwd=project.root,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=lambda: os.login_tty(slave),
    )
    os.close(slave)
    try:
        running(project)
        os.close(master)
        assert driver.wait(timeout=60) == 128 + signal.SIGHUP
    finally:
        driver.kill()
        driver.wait()
    assert_saved(project, "SIGHUP")


def test_nohup_is_respected(project: Project) -> None:
    """A driver that was started to ignore SIGHUP goes on after one."""
    driver = subprocess.Popen(
        ["nohup", sys.executable, "-m", "sweep", "run", "--inline", str(sleeping(project))],
        cwd=project.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    project.processes.append(driver)
    running(project)
    driver.send_signal(signal.SIGHUP)
    seen = max(state_of(project).trials[0].reports)
    until(lambda: max(state_of(project).trials[0].reports) > seen + 50)
    driver.send_signal(signal.SIGUSR1)
    driver.communicate(timeout=60)
    assert driver.returncode == 128 + signal.SIGUSR1
    assert_saved(project, "SIGUSR1")


def test_an_announcement_is_no_first_demand() -> None:
    """SIGTERM after SIGUSR1 (a batch system that warns, and then means it) does not end the process
    at once; what is not taken over is left alone."""
    before = [signal.getsignal(number) for number in HANGUPS]
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR2)
        deadline = time.monotonic() + 5
        while signals.received is None:
            assert time.monotonic() < deadline
        assert signals.received is signal.SIGUSR1
    assert [signal.getsignal(number) for number in HANGUPS] == before
