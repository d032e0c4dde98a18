"""What a trial has started ends with its driver, and nothing else does."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from conftest import Project, until
from ray_node import Start

from sweep.driver.reaper import Reaper

PROGRAM = """
import os, pathlib, subprocess, sys, time

DAEMON = '''
import os, sys, time
if os.fork():
    os._exit(0)  # its parent is gone: it belongs to nobody
os.setsid()
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
'''

def train(trial):
    path = pathlib.Path(trial.params.where, f"daemon-{trial.number}")
    subprocess.run([sys.executable, "-c", DAEMON, str(path)], env={}, cwd="/",
                   start_new_session=True, check=True)
    while not path.exists():
        time.sleep(0.01)
    trial.report(loss=0.5)
    while trial.params.stays:
        trial.step()
        time.sleep(0.01)
"""
"""Each trial starts a daemon: a session of its own, an empty environment, no parent, another
directory."""


@pytest.fixture
def bystander() -> Iterator[psutil.Process]:
    """A process that looks like the others, and that no driver has started."""
    code = "import time; time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", code], env={"SWEEP_DRIVER": "1234abcd"}, start_new_session=True
    ) as process:
        yield psutil.Process(process.pid)
        process.kill()


def started(project: Project) -> psutil.Process:
    """The daemon of the trial, once it runs."""
    path = project.root / "daemon-0"
    until(path.exists)
    return psutil.Process(int(path.read_text()))


def daemon_spec(project: Project, *, stays: bool) -> Path:
    """A study of one trial, which ``stays`` until it is stopped."""
    (project.root / "daemons.py").write_text(PROGRAM)
    parameters = {
        "x": {"min": 0.0, "max": 1.0},
        "where": {"value": str(project.root)},
        "stays": {"value": stays},
    }
    return project.spec("study", program="daemons:train", trials=1, parameters=parameters)


@pytest.mark.parametrize("options", [["--inline"], pytest.param([], marks=pytest.mark.ray)])
def test_a_daemon_of_a_trial_ends_with_a_killed_driver(
    project: Project, bystander: psutil.Process, options: list[str]
) -> None:
    """A child in a session of its own, with an empty environment and no parent, is ended when the
    driver is killed; a process of somebody else is not."""
    driver = project.start("run", *options, daemon_spec(project, stays=True))
    daemon = started(project)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    _, alive = psutil.wait_procs([daemon], timeout=30)
    assert not alive
    assert bystander.is_running()


@pytest.mark.ray
@pytest.mark.long
def test_a_daemon_of_a_trial_ends_with_a_driver_of_a_cluster(
    project: Project, ray_node: Start
) -> None:
    """On an existing cluster, too: each worker there has a reaper."""
    address = ray_node(2).address
    driver = project.start("run", daemon_spec(project, stays=True), "--address", address)
    daemon = started(project)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    _, alive = psutil.wait_procs([daemon], timeout=60)
    assert not alive


def test_a_daemon_of_a_trial_ends_with_the_run(project: Project) -> None:
    """A driver that ends in order leaves nothing behind either."""
    done = project.run("run", "--inline", daemon_spec(project, stays=False))
    assert done.returncode == 0, done.stderr
    pid = int((project.root / "daemon-0").read_text())
    with suppress(psutil.NoSuchProcess):  # or it waits for init to take note of its end
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_mark_is_taken_back() -> None:
    """Once a reaper is closed, its process carries no mark, and what it starts then stays."""
    before = resource.getrlimit(resource.RLIMIT_RTTIME)
    reaper = Reaper()
    assert resource.getrlimit(resource.RLIMIT_RTTIME) != before
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={})
    reaper.close()
    assert child.wait(timeout=10) == -signal.SIGKILL
    assert resource.getrlimit(resource.RLIMIT_RTTIME) == before
    assert "SWEEP_DRIVER" not in os.environ
