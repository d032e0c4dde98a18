"""A driver that retires, killed in its deletes, beside readers, forks and garbage collections."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Project, until

import sweep
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.verification import verify
from sweep.journal.journal import read_state
from sweep.journal.state import TrialState
from sweep.paths import StudyPaths

EPOCHS = 101  # the last one is not NaN

DRIVER = """
import os, signal, sys, threading
calls, wanted = 0, int(os.environ["KILL_AT"])
def counted(real):
    def call(*arguments, **options):
        global calls
        if threading.current_thread().name.startswith("disposal"):
            calls += 1
            if calls == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
for name in ("unlink", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
sys.argv = ["sweep", *sys.argv[1:]]
from sweep.cli.main import main
main()
"""
"""Runs the command and kills it before the n-th removal of a file of a retired checkpoint."""

READER = """
import sys
from pathlib import Path
import sweep
from sweep.errors import StudyNotFoundError
sys.path.insert(0, sys.argv[2])
from counted import Counted
over, loaded = Path(sys.argv[3]), {"latest": 0, "best": 0, "id": 0}
while not over.exists():
    study = sweep.open_study(sys.argv[1])
    there = study.checkpoints[study.checkpoints["retired"].isna()]
    for which in loaded:
        for trial in sorted(set(there["trial"]))[-3:]:
            try:
                if which == "id":
                    name = there[there["trial"] == trial]["id"].iloc[0]
                    found = study.load_checkpoint(name)
                else:
                    found = study.load_checkpoint(trial=int(trial), which=which)
            except StudyNotFoundError as error:
                gone = ("is not kept any more", f"no checkpoint of trial {trial} is the {which}")
                assert any(why in str(error) for why in gone), error
                continue
            counted = Counted()
            counted.load_state_dict(found["counted"])
            assert found.id.startswith(f"{found.trial}@{counted.epochs}."), found.id
            loaded[which] += 1
assert all(loaded.values()), loaded
"""


def drive(project: Project, paths: StudyPaths, kill_at: int) -> int:
    """Run or go on with the study, with collections of garbage beside; the driver's exit code."""
    before = sessions(paths)
    log = (project.root / "driver.log").open("a")
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, "run", "--inline", "s.yaml"],
        cwd=project.root,
        env=os.environ | {"KILL_AT": str(kill_at)},
        stdout=log,
        stderr=log,
    )
    # Before that, gc would take the study for one that nobody runs, and the driver find it taken.
    until(lambda: driver.poll() is not None or sessions(paths) > before)
    while driver.poll() is None:
        project.run("gc", "s")
    log.close()
    return driver.returncode


def sessions(paths: StudyPaths) -> int:
    return read_state(paths.journal).sessions if paths.journal.is_dir() else 0


@pytest.mark.long
def test_nothing_is_torn_lost_or_left(project: Project) -> None:
    """With `last: 1`: loads give the bytes of a checkpoint or say that it is not kept, forks go on
    from what they were made of, nothing healthy is set aside, and at the end nothing is left."""
    spec = project.spec(
        "s",
        program="counted:train",
        parameters={"x": {"min": 0.0, "max": 1.0}, "epochs": {"value": EPOCHS}},
        trials=1,
        checkpoint={"every": {"epochs": 1}, "keep": {"last": 1, "best": 1}},
    )
    paths, over = StudyPaths.of(project.store, spec.stem), project.root / "over"
    assert drive(project, paths, 1) == -signal.SIGKILL
    until(lambda: read_state(paths.journal).manifests)
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(paths.root), str(project.root), str(over)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    project.processes += readers
    code, kill_at, forks = -signal.SIGKILL, 1, 0
    while code == -signal.SIGKILL:
        kill_at += 1
        if kill_at % 4 == 0:  # nobody runs it now
            sweep.open_study(paths.root).fork(0, x=kill_at / 100)
            forks += 1
        code = drive(project, paths, kill_at if kill_at < 13 else 0)
    over.touch()
    said = [reader.communicate()[1] for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0], said
    assert code == 0, (project.root / "driver.log").read_text()[-3000:]
    check(project, paths, forks)


def check(project: Project, paths: StudyPaths, forks: int) -> None:
    state = read_state(paths.journal)
    assert {trial.state for trial in state.trials.values()} == {TrialState.COMPLETE}
    assert len(state.trials) == 1 + forks + len(range(10, EPOCHS, 20))
    assert verify(paths).whole
    assert not (paths.checkpoints / "quarantine").exists()
    done = project.run("gc", "s")
    assert "there is nothing to remove" in done.stdout, done.stdout + done.stderr
    assert present(paths.checkpoints) == needed(paths)


def present(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file() and "pool" not in path.parts}


def needed(paths: StudyPaths) -> set[Path]:
    root, found = paths.checkpoints, set[Path]()
    for name in read_state(paths.journal).manifests:
        blobs = CheckpointStore(root).read(name).manifest.blobs
        found |= {root / "manifests" / name, *(root / "blobs" / blob.path for blob in blobs)}
    return found
