"""What is read of a study besides its tables: incumbents, curves, comparisons; and a store."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project

import sweep
from sweep.errors import JournalError, StudyNotFoundError, UsageError
from sweep.journal.fold import fold
from sweep.journal.segment import read_entries
from sweep.journal.table import write_tables

FALLING = """
def train(trial):
    for epoch in trial.epochs(3):
        if epoch != 1 or trial.number != 1:
            trial.report(loss=trial.params.x / (epoch + 1))
        if trial.number == 2:
            trial.report(extra=1.0)
"""


@pytest.fixture
def study(project: Project) -> sweep.Study:
    (project.root / "falling.py").write_text(FALLING)
    enqueue = [{"x": 3.0}, {"x": 1.0}, {"x": 2.0}, {"x": 0.5}]
    parameters = {"x": {"min": 0.0, "max": 4.0}}
    spec = project.spec(
        "s", program="falling:train", parameters=parameters, enqueue=enqueue, trials=4
    )
    assert project.call("run", "--inline", spec).returncode == 0
    return sweep.open_study(project.store / "s")


def test_incumbents(study: sweep.Study) -> None:
    """A row each time another trial became the best."""
    assert list(study.incumbents["best_trial"]) == [0, 1, 3]
    assert list(study.incumbents["trial"]) == [0, 1, 3]
    assert study.incumbents["best_value"].is_monotonic_decreasing
    assert set(study.incumbents) == set(study.iterations)


def test_curves(study: sweep.Study) -> None:
    """Trials by steps; a step without a report is NaN, a trial without the metric is not there."""
    curves = study.curves()
    assert list(curves.index) == [0, 1, 2, 3]
    assert list(curves.columns) == [0, 1, 2]
    assert list(curves.loc[0]) == [3.0, 1.5, 1.0]
    assert math.isnan(curves.loc[1, 1])
    assert list(study.curves("extra").index) == [2]
    with pytest.raises(UsageError, match="has reported 'lost'; reported are loss, extra"):
        study.curves("lost")


def test_compare(study: sweep.Study) -> None:
    """A row for each column of the trials, and which of them differ; missing equals missing."""
    found = study.compare(0, 2)
    assert list(found.columns) == [0, 2, "differs"]
    assert list(found.loc["params.x"]) == [3.0, 2.0, True]
    assert list(found.loc["state"]) == ["COMPLETE", "COMPLETE", False]
    assert not found.loc["parent", "differs"]
    assert found.loc["metrics.extra", "differs"]
    with pytest.raises(StudyNotFoundError, match="no trial 9"):
        study.compare(0, 9)


def test_incumbents_of_several_objectives(project: Project) -> None:
    """There are none; the error says what there is."""
    (project.root / "both.py").write_text("def train(trial):\n    trial.report(a=1.0, b=2.0)\n")
    spec = project.spec("s", program="both:train", metric=[{"name": "a"}, {"name": "b"}])
    assert project.call("run", "--inline", spec).returncode == 0
    with pytest.raises(UsageError, match=r"use study\.pareto"):
        _ = sweep.open_study(project.store / "s").incumbents


def test_a_store(project: Project) -> None:
    """Studies by name, and their tables under each other."""
    for name, trials in (("b", 2), ("a", 3)):
        assert project.call("run", "--inline", project.spec(name, trials=trials)).returncode == 0
    store = sweep.open_store(project.store)
    assert store.names == ["a", "b"]
    assert [len(study.trials) for study in store] == [3, 2]
    assert store["b"] is store["b"]
    assert list(store.trials["study"]) == ["a"] * 3 + ["b"] * 2
    assert list(store.trials["number"]) == [0, 1, 2, 0, 1]
    assert len(store) == 2
    assert store.iterations.groupby("study")["trial"].count().to_dict() == {"a": 3, "b": 2}
    assert list(store.reports)[:2] == ["study", "trial"]
    assert store.checkpoints.empty
    with pytest.raises(StudyNotFoundError, match="no study 'c'; there is: a, b"):
        _ = store["c"]


def test_what_is_no_store(tmp_path: Path) -> None:
    """A directory without studies, none at all, and a file are each one clear line."""
    (tmp_path / "file").touch()
    for name in (".", "nowhere"):
        with pytest.raises(StudyNotFoundError, match="no studies; give the directory"):
            sweep.open_store(tmp_path / name)
    with pytest.raises(UsageError, match="is no directory"):
        sweep.open_store(tmp_path / "file")


def test_reports_of_a_running_study_cost_what_is_new(
    study: sweep.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables of a while ago and what came since make the reports: no fold of the journal."""
    paths = study.paths
    anew = study.reports
    entries = list(read_entries(paths.journal))
    for cut in range(len(entries)):
        write_tables(fold(entries[: cut + 1]), paths.tables)
        with monkeypatch.context() as patch:
            patch.setattr("sweep.analysis.study.read_state", None)
            found = sweep.open_study(paths.root).reports
        pd.testing.assert_frame_equal(found, anew)


def test_a_damaged_study_hides_no_other(study: sweep.Study) -> None:
    """The tables of a store leave it out and say so; where there is no other they raise."""
    root = study.paths.root
    other = shutil.copytree(root, root.parent / "other", ignore=shutil.ignore_patterns("tables"))
    (segment,) = (other / "journal").iterdir()
    segment.write_bytes(segment.read_bytes()[:-9])
    store = sweep.open_store(root.parent)
    with pytest.warns(UserWarning, match=f"left out: {segment}: torn"):
        assert set(store.reports["study"]) == {"s"}
    shutil.rmtree(root / "journal")
    with pytest.raises(JournalError, match="torn"), pytest.warns(UserWarning, match="left out"):
        _ = sweep.open_store(root.parent).trials
