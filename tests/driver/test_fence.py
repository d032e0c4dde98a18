"""A driver that was stopped and has lost its study, by the command line: whoever runs the study now
keeps every event, and the old driver ends when it goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project, until
from test_kill import exact_spec, tables

SHIM = """
import os, signal, sys
from sweep.journal.lock import Lock
point, left = os.environ["STOP_AT"].split(":")
left = int(left)
owner = Lock if point == "check" else os
real = getattr(owner, point)
def stopping(*arguments, **options):
    global left
    done = real(*arguments, **options) if point == "check" else None
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
    return done if point == "check" else real(*arguments, **options)
setattr(owner, point, stopping)
sys.argv = ["sweep", *sys.argv[1:]]
from sweep.cli.main import main
main()
"""
"""Runs the command, stopped behind the n-th look at the lock or before the n-th link or sync."""


def run_stopped(project: Project, spec: Path, point: str) -> subprocess.Popen[str]:
    """A driver that has stopped itself at ``point``."""
    driver = subprocess.Popen(
        [sys.executable, "-c", SHIM, "run", "--inline", str(spec)],
        cwd=project.root,
        env=os.environ | {"STOP_AT": point},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    project.processes.append(driver)
    stat = Path(f"/proc/{driver.pid}/stat")
    until(lambda: stat.read_text().rpartition(")")[2].split()[0] in "TZ")
    return driver


def segments(project: Project) -> dict[str, bytes]:
    journal = project.store / "study" / "journal"
    return {path.name: path.read_bytes() for path in journal.glob("*.parquet")}


def lose_and_go_on(project: Project, spec: Path, point: str, trials: int) -> tuple[int, str]:
    """Stop a driver at ``point``, have another one run the study to its end, and let the first go
    on; its exit code and what it said."""
    driver = run_stopped(project, spec, point)
    (project.store / "study" / "lock").unlink()  # as a server of files that forgets its locks does
    second = project.run("run", "--inline", spec)
    assert second.returncode == 0, second.stderr
    files = segments(project)
    driver.send_signal(signal.SIGCONT)
    _, error = driver.communicate(timeout=120)
    assert segments(project) == files
    assert list(tables(project)["trials"]["number"]) == list(range(trials))
    verified = project.call("verify", "study")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert project.call("replay", "study").returncode == 0
    return driver.returncode, error


def test_a_driver_that_lost_its_study_ends(project: Project) -> None:
    """Stopped between its look at the lock and its write: the study is the second driver's, whole,
    and the first one says so with exit code 3."""
    spec = project.spec("study", trials=4)
    code, error = lose_and_go_on(project, spec, "check:2", trials=4)
    assert code == 3
    assert "another process has taken the study over" in error


@pytest.mark.long
@pytest.mark.timeout(900)
def test_drivers_that_are_stopped_anywhere_and_lose_their_study(
    tmp_path_factory: pytest.TempPathFactory, project: Project
) -> None:
    """Ten seeded rounds: wherever the first driver stops, the second one's study is whole, and its
    tables are those of a study that nobody disturbed."""
    chooser = random.Random(15)
    whole = Project(tmp_path_factory.mktemp("whole"))
    (whole.root / "exact.py").write_text((project.root / "exact.py").read_text())
    assert whole.run("run", "--inline", exact_spec(whole, "study", trials=6)).returncode == 0
    for number in range(10):
        one = Project(tmp_path_factory.mktemp(f"round{number}"))
        (one.root / "exact.py").write_text((project.root / "exact.py").read_text())
        name = chooser.choice(["check", "link", "fsync"])
        point = f"{name}:{chooser.randint(6, 30 if name != 'fsync' else 90)}"
        code, error = lose_and_go_on(one, exact_spec(one, "study", trials=6), point, trials=6)
        assert code == 3, f"{point}: {code}: {error}"
        for title, frame in tables(whole).items():
            pd.testing.assert_frame_equal(frame, tables(one)[title], obj=f"{point}: {title}")
