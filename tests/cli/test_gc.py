"""`sweep gc`: what is not kept goes, what somebody needs stays, whoever runs or dies meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import Any

import pytest
from conftest import Project, until

from sweep.checkpoint.store import CheckpointStore
from sweep.driver.collection import collect_idle
from sweep.journal.event import SpecChanged
from sweep.journal.journal import read_state
from sweep.journal.maintenance import maintenance
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths

EVERYTHING = {"last": 99, "best": 99, "unsuccessful": "last"}

USED, UNUSED = f"ab{'0' * 62}.safetensors", f"ab{'1' * 62}.safetensors"


def paths_of(project: Project) -> StudyPaths:
    return StudyPaths.of(project.store, "study")


def state_of(project: Project) -> StudyState:
    return read_state(paths_of(project).journal)


def finished_study(project: Project, trials: int = 2) -> None:
    """A study of which every checkpoint was kept."""
    spec = project.spec(
        "study",
        program="exact:train",
        parameters={"width": {"value": 4}, "lr": {"value": 0.01}, "epochs": {"value": 3}},
        trials=trials,
        checkpoint={"every": {"epochs": 1}, "keep": EVERYTHING},
    )
    done = project.call("run", "--inline", spec)
    assert done.returncode == 0, done.stderr


def ask_for(project: Project, **keep: Any) -> None:
    """Have the study keep something else from now on."""
    with maintenance(paths_of(project), "test") as held:
        spec = json.loads(json.dumps(held.state.spec))
        spec["checkpoint"]["keep"] = {"last": 1, "best": 0} | keep
        held.record(SpecChanged(spec=spec, project=held.state.project, changes=["keep"]))


def files(project: Project) -> set[str]:
    root = paths_of(project).checkpoints
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def needed(project: Project) -> set[str]:
    """The files of the checkpoints that are kept."""
    root = paths_of(project).checkpoints
    found = set()
    for manifest in state_of(project).manifests:
        loaded = CheckpointStore(root).read(manifest).manifest
        found |= {f"manifests/{manifest}", *(f"blobs/{blob.path}" for blob in loaded.blobs)}
    return found


def test_idle(project: Project) -> None:
    """A dry run says what goes and touches nothing; then just that goes, and no more after it."""
    finished_study(project)
    ask_for(project)
    root = paths_of(project).checkpoints
    pool = root / "pool" / "ab"
    pool.mkdir(parents=True)
    (pool / UNUSED).write_bytes(b"x" * 1000)
    kept_blob = next((root / "blobs").rglob("*final*/*.safetensors"))
    (pool / USED).hardlink_to(kept_blob)
    before, seq = files(project), state_of(project).seq
    size = sum((root / name).stat().st_size for name in before)

    dry = json.loads(project.run("gc", "study", "--dry-run", "--json").stdout)
    assert files(project) == before
    assert state_of(project).seq == seq
    found = json.loads(project.run("gc", "study", "--json").stdout)
    assert dry | {"dry_run": False} == found
    assert {reason for _, reason in found["retired"]} == {"superseded"}
    assert files(project) == needed(project) | {f"pool/ab/{USED}"}
    assert len(state_of(project).manifests) == 2
    removed = before - files(project)
    assert found["files"] == len(removed)
    left = sum((root / name).stat().st_size for name in files(project))
    assert found["bytes"] == size - left

    seq = state_of(project).seq
    again = project.run("gc", "study")
    assert "there is nothing to remove" in again.stdout
    assert state_of(project).seq == seq
    assert project.call("replay", "study").returncode == 0


def test_time_of_a_killed_session_does_not_grow(project: Project) -> None:
    """What gc journals long after a driver was killed is not counted as time of that driver."""
    spec = project.spec("study", program="odd:sleeps", trials=1, checkpoint={"keep": EVERYTHING})
    process = project.start("run", "--inline", spec)
    journal = paths_of(project).root / "journal"
    until(lambda: journal.is_dir() and len(state_of(project).manifests) > 1)  # one is kept
    process.kill()
    process.wait()
    killed = state_of(project)
    lasted = killed.time - killed.session_started
    ask_for(project)
    assert project.run("gc", "study").returncode == 0
    now = state_of(project)
    own = now.active_s - lasted
    assert now.sessions == 3
    assert own < now.time - killed.time


def test_beside_a_driver(project: Project) -> None:
    """The driver does it on request: garbage goes, what may be in the making stays."""
    spec = project.spec("study", program="odd:sleeps", trials=1, checkpoint={"keep": EVERYTHING})
    process = project.start("run", "--inline", spec)
    root = paths_of(project).checkpoints
    until(lambda: list((root / "manifests").glob("*/*.json")))
    old = root / "manifests" / "00000" / "000001.000000000-s000a01.json"
    made = root / "blobs" / "00000" / "000001.000000000-s001a09" / "state.safetensors"
    unused = root / "pool" / "ab" / UNUSED
    for path in (old, made, unused):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    done = project.run("gc", "study", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["garbage"] == ["00000/000001.000000000-s000a01.json"]
    assert (found["files"], found["bytes"]) == (2, 2)
    assert not old.exists()
    assert not unused.exists()
    assert made.exists()
    seq = state_of(project).seq
    until(lambda: state_of(project).seq > seq)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 143


def test_driver_that_cannot_answer(project: Project) -> None:
    """A driver that does not look in time is named; one that dies meanwhile is replaced by gc."""
    spec = project.spec("study", program="odd:ignores_stop", trials=1)
    process = project.start("run", "--inline", spec)
    until(lambda: (project.root / "running-0").exists())
    late = project.run("gc", "study", "--wait", "0.3")
    assert late.returncode == 3
    assert "did not answer in time" in late.stderr
    assert not paths_of(project).gc.exists()
    waiting = project.start("gc", "study")
    until(paths_of(project).gc.exists)
    os.kill(process.pid, signal.SIGKILL)
    out, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, err
    assert "study: there is nothing to remove" in out


SHIM = """
import os, signal, sys
calls, wanted = 0, int(os.environ["KILL_AT"])
def counted(real):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
for name in ("unlink", "rmdir", "fsync", "rename", "replace"):
    setattr(os, name, counted(getattr(os, name)))
sys.argv = ["sweep", *sys.argv[1:]]
from sweep.cli.main import main
main()
"""
"""Runs the command and kills it before the n-th call that removes, renames or syncs."""


def killed_at(project: Project, call: int, *arguments: str) -> bool:
    """Run a command with a kill at the n-th call; whether it came so far."""
    done = subprocess.run(
        [sys.executable, "-c", SHIM, *arguments],
        cwd=project.root,
        env=os.environ | {"KILL_AT": str(call)},
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.long), 6])
def test_killed_in_the_middle(project: Project, step: int) -> None:
    """Killed between any two removals: what the journal keeps loads, the next gc leaves no more."""
    finished_study(project, trials=1)
    ask_for(project)
    whole = project.root / "whole"
    project.store.rename(whole)
    shutil.copytree(whole, project.store)
    call = 1
    while killed_at(project, call, "gc", "study"):
        needed(project)  # loads all that is kept
        collect_idle(paths_of(project))
        assert files(project) == needed(project)
        assert len(state_of(project).manifests) == 1
        shutil.rmtree(project.store)
        shutil.copytree(whole, project.store)
        call += step
    assert call > 18
