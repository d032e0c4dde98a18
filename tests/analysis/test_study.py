"""A study as pandas tables: the columns that are documented, in the types that they have."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from conftest import Project

import sweep
from sweep.errors import StudyNotFoundError
from sweep.journal.event import TrialState

TRIALS = (
    "number state value started finished duration_s attempts steps checkpoint parent source "
    "exploits reason error"
)
ATTEMPTS = "trial attempt session end began ended duration_s steps lost checkpoint"
REPORTS = "trial attempt step time"
CHECKPOINTS = "id trial attempt step kind content value bytes new_bytes saved retired parent"
ITERATIONS = "iteration trial value best_trial best_value best_checkpoint best_kept time"


def test_tables_have_the_documented_columns(project: Project) -> None:
    """Columns, types and sizes of the five tables, in memory and on the disk."""
    parameters = {"width": {"value": 4}, "epochs": {"value": 3}, "lr": {"min": 0.01, "max": 0.1}}
    spec = project.spec("s", program="exact:train", trials=3, parameters=parameters)
    assert project.run("run", "--inline", spec).returncode == 0
    study = sweep.open_study(project.store / "s")
    params = {"params.width", "params.epochs", "params.lr"}
    assert set(study.trials) == {*TRIALS.split(), *params, "metrics.loss"}
    assert set(study.attempts) == set(ATTEMPTS.split())
    assert set(study.reports) == {*REPORTS.split(), "metrics.loss"}
    assert set(study.checkpoints) == set(CHECKPOINTS.split())
    assert set(study.iterations) == set(ITERATIONS.split())
    assert len(study.reports) == 9
    assert study.trials["params.epochs"].dtype == "int64"
    assert study.trials["params.lr"].dtype == "float64"
    assert str(study.trials["started"].dt.tz) == "UTC"
    kept = study.checkpoints[study.checkpoints["retired"].isna()]
    assert set(study.trials["checkpoint"]) <= set(kept["id"])
    for name in ("trials", "attempts", "reports", "checkpoints", "iterations"):
        on_disk = pd.read_parquet(project.store / "s" / "tables" / f"{name}.parquet")
        pd.testing.assert_frame_equal(
            on_disk, getattr(study, name), check_dtype=False, check_categorical=False
        )
    best = study.best
    assert best is not None
    assert best["value"] == study.trials["value"].min()


SPACE = {
    "width": {"values": [4, 8]},
    "epochs": {"value": 2},
    "lr": {"min": 0.01, "max": 0.1},
    "kind": {"values": ["a", "b", "c"]},
    "depth": {"min": 1, "max": 3, "when": {"kind": "b"}},
    "share": {"values": [0, 0.5], "when": {"kind": "b"}},
    "flag": {"values": [True, False], "when": {"kind": "c"}},
    "same": {"value": 3.0, "when": {"kind": "c"}},
}
TYPES = {
    "width": "int64",
    "epochs": "int64",
    "lr": "float64",
    "kind": "category",
    "depth": "Int64",
    "share": "float64",
    "flag": "boolean",
    "same": "float64",
}


def test_types_are_those_of_the_space(project: Project) -> None:
    """They do not depend on which values came up: not even where a condition never held."""
    program = {"program": "odd:returns_one", "metric": {"name": "loss"}}
    for name, when in (("s", "b"), ("t", "c")):
        enqueue = [{"kind": when}, {"kind": "a"}]
        spec = project.spec(name, parameters=SPACE, trials=2, enqueue=enqueue, **program)
        assert project.call("run", "--inline", spec).returncode == 0
        study = sweep.open_study(project.store / name)
        for frame in (study.trials, forgetful(study).trials):
            found = {column: str(frame[f"params.{column}"].dtype) for column in SPACE}
            assert found == TYPES
            assert list(frame["params.kind"].cat.categories) == ["a", "b", "c"]
            assert list(frame["params.kind"]) == [when, "a"]
            assert list(frame["state"].cat.categories) == [str(each) for each in TrialState]
            assert frame["parent"].dtype == frame["exploits"].dtype == "Int64"
            assert frame["params.depth"].isna().all() == (when == "c")


def forgetful(study: sweep.analysis.study.Study) -> sweep.analysis.study.Study:
    """The same study, whose tables are not to be had: the journal is read."""
    import shutil

    shutil.rmtree(study.paths.tables)
    return sweep.open_study(study.paths.root)


def test_values_of_another_space_stay(project: Project) -> None:
    """A choice that is gone stays in the rows that have it, after those that are."""
    parameters = {"x": {"values": ["old", "new"]}}
    spec = project.spec(
        "s", program="odd:returns_one", parameters=parameters, trials=2, method="grid"
    )
    assert project.call("run", "--inline", spec).returncode == 0
    change = ["--set", "parameters.x.values=[newest, new]", "--set", "trials=3", "--accept-changes"]
    assert project.call("run", "--inline", spec, *change).returncode == 0
    column = sweep.open_study(project.store / "s").trials["params.x"]
    assert list(column) == ["old", "new", "newest"]
    assert list(column.cat.categories) == ["newest", "new", "old"]


def test_a_study_stays_as_it_was_opened(project: Project) -> None:
    """All tables are of one moment, also where some were read before the study went on."""
    spec = project.spec("s", trials=2)
    assert project.call("run", "--inline", spec).returncode == 0
    study, other = (sweep.open_study(project.store / "s") for _ in range(2))
    assert len(study.trials) == 2
    assert project.call("run", "--inline", spec, "--set", "trials=4").returncode == 0
    assert len(study.iterations) == len(other.iterations) == 2
    assert set(other.reports["trial"]) <= {0, 1}
    assert len(other.trials) == 2
    other.refresh()
    assert len(other.trials) == len(other.iterations) == 4


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
