"""Reading a study's checkpoints while its driver retires them."""

from __future__ import annotations

import pytest
from conftest import Project, until

import sweep
from sweep.errors import StudyNotFoundError


@pytest.mark.long
def test_retired_while_it_is_read_is_no_damage(project: Project) -> None:
    """Beside a driver that keeps one checkpoint of a trial, each load gives one that is whole."""
    spec = project.spec(
        "s",
        program="exact:train",
        parameters={"width": {"value": 64}, "lr": {"value": 0.01}, "epochs": {"value": 100}},
        trials=1,
        checkpoint={"every": {"steps": 1}, "keep": {"last": 1, "best": 0}},
    )
    process = project.start("run", "--inline", spec)
    root = project.store / "s"
    until(lambda: (root / "journal").is_dir() and any((root / "journal").glob("[!.]*")))
    study = sweep.open_study(root)
    positions = set()
    while process.poll() is None:
        try:
            loaded = study.load_checkpoint(trial=0, which="latest")
        except StudyNotFoundError:  # none yet, or another one by now
            study.refresh()
            continue
        positions.add(loaded.id)
        assert set(loaded) == {"model", "optimizer"}
    assert process.returncode == 0
    assert positions
