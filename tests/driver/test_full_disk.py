"""A disk that is really full: the study pauses, and goes on once there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Project

import sweep
from sweep.journal.journal import read_state

PROGRAM = """
import numpy as np


class Large:
    def __init__(self):
        self.values = np.random.default_rng(1).random(100_000)

    def state_dict(self):
        return {"values": self.values}

    def load_state_dict(self, state):
        self.values = state["values"]


def train(trial):
    large = Large()
    trial.track(large=large)
    for epoch in trial.epochs(6):
        large.values += 1
        trial.report(loss=float(epoch))
"""


@pytest.fixture
def small(project: Project) -> Iterator[Path]:
    """A file system of 24 MB in the project."""
    place = project.root / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize(
    "how",
    [["--inline"], pytest.param([], marks=[pytest.mark.ray, pytest.mark.long])],
    ids=["inline", "ray"],
)
def test_full_disk_pauses_the_study(project: Project, small: Path, how: list[str]) -> None:
    """No trial fails for want of space: exit code 3, the journal says why, and with room again the
    same study goes on to its end."""
    (project.root / "large.py").write_text(PROGRAM)
    spec = project.spec("s", program="large:train", trials=4, concurrency=2, retries=0)
    ballast = small / "ballast"
    ballast.write_bytes(bytes(22_500_000))
    store = ["--store", str(small / "runs")]
    full = project.run("run", spec, *how, *store)
    assert full.returncode == 3, full.stderr + full.stdout
    lines = full.stdout.splitlines()
    assert "paused (disk full)" in full.stdout
    assert lines[-1] == f"s: free space, then: sweep resume s --store {small / 'runs'}"
    assert "free space, then: sweep resume s" in full.stderr.splitlines()[-1]
    state = read_state(small / "runs" / "s" / "journal")
    assert state.stopped is not None
    assert state.stopped.reason == "disk full"
    assert not [trial for trial in state.trials.values() if trial.failures]

    ballast.unlink()
    again = project.run("resume", "s", *how, *store)
    assert again.returncode == 0, again.stderr
    study = sweep.open_study(small / "runs" / "s")
    assert list(study.trials["state"]) == ["COMPLETE"] * 4
    assert list(study.trials["value"]) == [5.0] * 4
