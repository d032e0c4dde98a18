"""Which checkpoints exist does not depend on how fast anything is, where that is promised."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from conftest import Project

import sweep
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.archive import Archive
from sweep.trial.session import Session

BY_TIME = ["saved", "retired", "attempt", "bytes", "new_bytes"]
"""Columns that may differ; whether a checkpoint is kept may not."""

PLACES: dict[str, tuple[type, str]] = {
    "none": (object, ""),
    "disk": (CheckpointStore, "write"),
    "training": (Session, "step"),
    "driver": (Archive, "saved"),
}
"""Where a delay is put: before each call of this function."""


def delayed(function: Callable[..., Any], chooser: random.Random) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        time.sleep(chooser.random() * 0.03)
        return function(*arguments, **options)

    return call


def checkpoints(project: Project, name: str, **checkpoint: Any) -> pd.DataFrame:
    """The table of a study of two trials, four epochs of eight steps each."""
    parameters = {
        "place": {"values": ["end", "before"]},
        "target": {"value": 17.0},
        "epochs": {"value": 4},
    }
    spec = project.spec(
        name,
        program="measured:train",
        method="grid",
        parameters=parameters,
        trials=2,
        deterministic=True,
        checkpoint=checkpoint,
    )
    done = project.call("run", spec, "--inline")
    assert done.returncode == 0, done.stderr
    table = sweep.open_study(project.store / name).checkpoints
    return table.assign(kept=table["retired"].isna()).drop(columns=BY_TIME)


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"every": {"steps": 4}},
        {"every": {"steps": 3}, "on": "improvement", "components": ["model"]},
        {"every": {"epochs": 1, "steps": 1}, "in_flight": "replace", "keep": {"last": 2}},
    ],
    ids=["steps", "improvement", "replace"],
)
def test_delays_anywhere_leave_the_table(
    project: Project, monkeypatch: pytest.MonkeyPatch, checkpoint: dict[str, Any]
) -> None:
    """With `deterministic: true` a slow disk, slow training or a slow driver changes no row."""
    tables = {}
    for place, (owner, name) in PLACES.items():
        with monkeypatch.context() as patched:
            if name:
                slow = delayed(getattr(owner, name), random.Random(7))
                patched.setattr(owner, name, slow)
            tables[place] = checkpoints(project, place, **checkpoint)
    first = tables.pop("none")
    assert len(first) > 8
    for place, table in tables.items():
        pd.testing.assert_frame_equal(table, first, obj=place)
