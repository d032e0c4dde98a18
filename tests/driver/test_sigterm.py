"""SIGTERM through the command line, wherever it comes: the study goes on to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Project

import sweep
from sweep.journal.journal import read_state

PLACES = ["first", "training", "validation", "saving", "twice"]


def results(root: Path) -> tuple[list[float], list[bytes]]:
    """The trials' values, and their final weights as bytes."""
    study = sweep.open_study(root)
    weights = []
    for name in study.trials["checkpoint"]:
        assert name.endswith(".final")
        state = study.load_checkpoint(name)["model"]
        weights.append(b"".join(value.numpy().tobytes() for value in state.values()))
    return list(study.trials["value"]), weights


def terminated_anywhere(project: Project, places: list[str], how: list[str]) -> None:
    policy = {"every": {"steps": 5, "epochs": 1}}
    content = {"program": "cut:train", "trials": 2, "checkpoint": policy, "retries": 0}
    whole = project.run("run", project.spec("whole", **content), *how)
    assert whole.returncode == 0, whole.stderr
    expected = results(project.store / "whole")
    for place in places:
        spec = project.spec(place, **content)
        (project.root / "cut").write_text(place)
        process = project.start("run", spec, *how)
        (project.root / "pid").write_text(str(process.pid))
        out, err = process.communicate(timeout=120)
        assert process.returncode == 143, (place, out, err)
        assert not (project.root / "cut").exists()
        state = read_state(project.store / place / "journal")
        assert not [trial for trial in state.trials.values() if trial.failures], place
        again = project.run("resume", place, *how)
        assert again.returncode == 0, (place, again.stdout, again.stderr)
        assert results(project.store / place) == expected, place


def test_a_save_that_is_cut_inline(project: Project) -> None:
    """Between the files of a checkpoint and its manifest, in the process that trains."""
    terminated_anywhere(project, ["saving"], ["--inline"])


@pytest.mark.long
def test_terminated_anywhere_inline(project: Project) -> None:
    """Before the first step, in training, in validation, amid a save, and twice in a row."""
    terminated_anywhere(project, PLACES, ["--inline"])


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.parametrize("place", PLACES)
def test_terminated_anywhere_in_workers(project: Project, place: str) -> None:
    """The same, where the driver has the signal and trials are in processes of their own."""
    terminated_anywhere(project, [place], [])
