"""`Trial.once` in whole studies: one computes for all, and a dead one's work is taken over."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from conftest import Project, until

import sweep
from sweep.driver.backend import Key
from sweep.driver.worker import _WorkerLink
from sweep.journal.event import AttemptFailed, AttemptStopped
from sweep.journal.journal import read_state
from sweep.journal.segment import read_entries
from sweep.trial.message import Verdict


def prepared(project: Project) -> list[int]:
    path = project.root / "prepared.log"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def waiting(project: Project) -> bool:
    """Whether a process waits for the lock of the study's only memo."""
    found = list((project.store / "s" / "memos" / "study").glob("*.lock"))
    table = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and f":{found[0].stat().st_ino} " in line for line in table if found)


def values(project: Project) -> list[float]:
    return list(sweep.open_study(project.store / "s").trials["value"])


def test_inline_trials_share_a_value(project: Project) -> None:
    """Trials of one process compute once; a study that goes on reads the value back."""
    spec = project.spec("s", program="phases:train", trials=3)
    assert project.run("run", spec, "--inline").returncode == 0
    assert project.run("run", spec, "--inline", "--set", "trials=5").returncode == 0
    assert len(prepared(project)) == 1
    assert len(values(project)) == 5
    assert len(set(values(project))) == 1


@pytest.mark.ray
def test_a_killed_worker_is_taken_over(project: Project) -> None:
    """SIGKILL of the worker that computes: the one that waits computes, and all have its value."""
    gate = project.root / "gate"
    os.mkfifo(gate)
    spec = project.spec("s", program="phases:train", trials=4, concurrency=2, retries=1)
    process = project.start("run", spec)
    until(lambda: prepared(project))
    os.kill(prepared(project)[0], signal.SIGKILL)
    until(lambda: len(prepared(project)) == 2)
    gate.write_bytes(b"")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert len(prepared(project)) == 2
    assert len(values(project)) == 4
    assert len(set(values(project))) == 1


def test_a_workers_link_tells_who_waits() -> None:
    """A stop reaches a trial that waits, whether it came before the wait or comes in it."""
    link = _WorkerLink(Key("s", 0, 1), lambda delivery: None)
    heard: list[str] = []
    link.when_stopping(lambda: heard.append("in it"))
    assert heard == []
    link.hear(Verdict.STOP)
    link.when_stopping(lambda: heard.append("before"))
    assert heard == ["in it", "before"]


@pytest.mark.long
@pytest.mark.ray
def test_a_stop_reaches_who_waits(project: Project) -> None:
    """SIGTERM while one trial computes and the other waits for it: the one that waits leaves at
    once, the one that computes is ended after the grace time, and the study goes on to its end."""
    gate = project.root / "gate"
    os.mkfifo(gate)
    spec = project.spec("s", program="phases:train", trials=2, concurrency=2)
    process = project.start("run", spec, "--grace", "4")
    journal = project.store / "s" / "journal"
    until(lambda: prepared(project))
    until(lambda: len(read_state(journal).running) == 2)
    until(lambda: waiting(project))
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, out + err
    assert time.monotonic() - begun < 30  # without the trial's hearing of it: for ever
    left = [entry.event for entry in read_entries(journal)]
    assert len([event for event in left if isinstance(event, AttemptStopped)]) == 1
    assert not [event for event in left if isinstance(event, AttemptFailed)]
    gate.unlink()
    again = project.run("resume", "s")
    assert again.returncode == 0, again.stderr
    assert len(prepared(project)) == 2
    assert len(set(values(project))) == 1
    assert not list(project.store.glob("s/memos/*/*.lock"))
