"""A study as pandas tables: the columns that are documented, in the types that they have."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from conftest import Project

import sweep
from sweep.errors import StudyNotFoundError

TRIALS = (
    "number state value started finished duration_s attempts steps checkpoint parent source "
    "exploits reason error"
)
REPORTS = "trial attempt step time"
CHECKPOINTS = "id trial attempt step kind content bytes new_bytes saved retired parent"
ITERATIONS = "iteration trial value best_trial best_value best_checkpoint time"


def test_tables_have_the_documented_columns(project: Project) -> None:
    """Columns, types and sizes of the four tables, in memory and on the disk."""
    parameters = {"width": {"value": 4}, "epochs": {"value": 3}, "lr": {"min": 0.01, "max": 0.1}}
    spec = project.spec("s", program="exact:train", trials=3, parameters=parameters)
    assert project.run("run", "--inline", spec).returncode == 0
    study = sweep.open_study(project.store / "s")
    params = {"params.width", "params.epochs", "params.lr"}
    assert set(study.trials) == {*TRIALS.split(), *params, "metrics.loss"}
    assert set(study.reports) == {*REPORTS.split(), "metrics.loss"}
    assert set(study.checkpoints) == set(CHECKPOINTS.split())
    assert set(study.iterations) == set(ITERATIONS.split())
    assert len(study.reports) == 9
    assert study.trials["params.epochs"].dtype == "int64"
    assert study.trials["params.lr"].dtype == "float64"
    assert str(study.trials["started"].dt.tz) == "UTC"
    kept = study.checkpoints[study.checkpoints["retired"].isna()]
    assert set(study.trials["checkpoint"]) <= set(kept["id"])
    for name in ("trials", "reports", "checkpoints", "iterations"):
        on_disk = pd.read_parquet(project.store / "s" / "tables" / f"{name}.parquet")
        pd.testing.assert_frame_equal(
            on_disk, getattr(study, name), check_dtype=False, check_categorical=False
        )
    best = study.best
    assert best is not None
    assert best["value"] == study.trials["value"].min()


def test_deleted_tables_lose_nothing(project: Project) -> None:
    """The tables are derived: without them a study reads the same."""
    import shutil

    assert project.run("run", "--inline", project.spec("s")).returncode == 0
    before = sweep.open_study(project.store / "s").trials
    shutil.rmtree(project.store / "s" / "tables")
    pd.testing.assert_frame_equal(sweep.open_study(project.store / "s").trials, before)


def test_no_study_is_an_error_with_a_name(tmp_path: Path) -> None:
    """A path without a study is named."""
    with pytest.raises(StudyNotFoundError, match="nowhere"):
        sweep.open_study(tmp_path / "nowhere")
