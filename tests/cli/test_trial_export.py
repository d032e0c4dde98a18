"""`sweep export STUDY`: tables in files and studies in databases, read back by who reads such."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
import pandas as pd
import pytest
from conftest import Project

import sweep


def exported(project: Project, *arguments: str | Path) -> str:
    done = project.call("export", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(project: Project, *arguments: str | Path) -> str:
    """The one line that says why."""
    done = project.call("export", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


@contextmanager
def database(path: Path) -> Iterator[optuna.storages.RDBStorage]:
    """What is in the file, with Optuna."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def test_trials_as_csv_and_parquet(complete: Project) -> None:
    """All rows and columns of `study.trials`, into a directory that was not there."""
    trials = sweep.open_study(complete.store / "s").trials
    said = exported(complete, "s", "--to", "out/trials.csv")
    assert said.startswith("wrote out/trials.csv: 3 trials of s, ")
    read = pd.read_csv(complete.root / "out" / "trials.csv", parse_dates=["started", "finished"])
    assert list(read) == list(trials)
    for name in ("number", "value", "params.lr", "started", "duration_s"):
        assert list(read[name]) == list(trials[name])
    record = json.loads(exported(complete, "s", "--to", "trials.parquet", "--json"))
    path = complete.root / "trials.parquet"
    expected = {"path": "trials.parquet", "bytes": path.stat().st_size, "trials": 3, "study": "s"}
    assert record == expected
    pd.testing.assert_frame_equal(pd.read_parquet(path), trials)


def test_trials_for_excel(project: Project) -> None:
    """Numbers, times without a zone, and a text that is neither a formula nor a colour."""
    parameters = {"lr": {"min": 0.0, "max": 1.0}, "kind": {"values": ["adam"]}}
    spec = project.spec("s", program="various:train", parameters=parameters, trials=4, retries=0)
    assert project.call("run", "--inline", spec).returncode == 1
    exported(project, "s", "--to", "trials.xlsx")
    read = pd.read_excel(project.root / "trials.xlsx", sheet_name="trials")
    trials = sweep.open_study(project.store / "s").trials
    assert list(read) == list(trials)
    assert list(read["params.lr"]) == pytest.approx(list(trials["params.lr"]))
    assert list(read["state"]) == ["COMPLETE", "COMPLETE", "COMPLETE", "FAILED"]
    assert read["started"].dtype.kind == "M"
    drift = read["started"] - trials["started"].dt.tz_localize(None)
    assert drift.abs().max() < pd.Timedelta(milliseconds=1)
    assert "\x1b" in trials["error"].iloc[3]
    assert read["error"].iloc[3] == trials["error"].iloc[3].replace("\x1b", "")


def test_a_text_is_no_formula(complete: Project) -> None:
    """What begins with an equals sign is shown, and never computed."""
    import openpyxl

    from sweep.analysis.trial_export import export_trials

    study = sweep.open_study(complete.store / "s")
    study.trials["reason"] = "=1+1"
    path = complete.root / "trials.xlsx"
    export_trials(study, str(path))
    sheet = openpyxl.load_workbook(path).active
    column = [cell.value for cell in sheet[1]].index("reason")
    assert [(row[column].value, row[column].data_type) for row in sheet.iter_rows(min_row=2)] == [
        ("=1+1", "s")
    ] * 3


def test_excel_without_openpyxl(complete: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to install, and no file is made."""
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert "pip install 'sweep[analysis]'" in refused(complete, "s", "--to", "trials.xlsx")
    assert not (complete.root / "trials.xlsx").exists()


def test_a_file_that_is_there_stays(complete: Project) -> None:
    """Without --force nothing is overwritten, and nothing is left beside it."""
    path = complete.root / "trials.csv"
    path.write_text("mine")
    assert "--force replaces it" in refused(complete, "s", "--to", "trials.csv")
    assert path.read_text() == "mine"
    exported(complete, "s", "--to", "trials.csv", "--force")
    assert len(pd.read_csv(path)) == 3
    assert not list(complete.root.glob("*trials.csv?*"))


def test_a_database_of_optunas(complete: Project) -> None:
    """Optuna reads the study that `to_optuna` gives; others in the file stay as they are."""
    path = complete.root / "optuna.db"
    with database(path) as storage:
        optuna.create_study(study_name="mine", storage=storage).enqueue_trial({"x": 1})
    said = exported(complete, "s", "--to", "sqlite:///optuna.db")
    assert said.startswith("wrote optuna.db: 3 trials of s, ")
    expected = sweep.open_study(complete.store / "s").to_optuna()
    with database(path) as storage:
        assert sorted(optuna.get_all_study_names(storage)) == ["mine", "s"]
        assert len(optuna.load_study(study_name="mine", storage=storage).trials) == 1
        made = optuna.load_study(study_name="s", storage=storage)
        assert made.metric_names == expected.metric_names
        for one, other in zip(made.trials, expected.trials, strict=True):
            for name in ("number", "state", "values", "params", "distributions", "user_attrs",
                         "intermediate_values", "datetime_start", "datetime_complete"):  # fmt: skip
                assert getattr(one, name) == getattr(other, name), name


def test_a_study_in_the_database_stays(complete: Project) -> None:
    """One of that name is replaced with --force only."""
    target = f"sqlite:///{complete.root / 'optuna.db'}"
    exported(complete, "s", "--to", target)
    sweep.open_study(complete.store / "s").fork(0, at=3, lr=0.002)
    assert "has a study 's' already; --force replaces it" in refused(complete, "s", "--to", target)
    with database(complete.root / "optuna.db") as storage:
        assert len(optuna.load_study(study_name="s", storage=storage).trials) == 3
    exported(complete, "s", "--to", target, "--force")
    with database(complete.root / "optuna.db") as storage:
        assert len(optuna.load_study(study_name="s", storage=storage).trials) == 4


def test_a_kill_leaves_the_old_study(complete: Project) -> None:
    """Killed before any commit of an export with --force, the old study is there as it was."""
    path = complete.root / "optuna.db"
    with database(path) as storage:
        optuna.create_study(study_name="mine", storage=storage).enqueue_trial({"x": 1})
    exported(complete, "s", "--to", "sqlite:///optuna.db")
    sweep.open_study(complete.store / "s").fork(0, at=3, lr=0.002)
    script = Path(__file__).parents[1] / "analysis" / "export_kills.py"
    command = [sys.executable, script, path, complete.store / "s"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    assert int(done.stdout) > 5


def test_files_of_others_are_left_alone(complete: Project) -> None:
    """A text, and a database of something else, are refused and stay as they were."""
    text, other = complete.root / "text.db", complete.root / "other.db"
    text.write_text("This is no database at all, but a text that somebody has written.\n" * 9)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE bills (amount REAL)")
    for path, why in ((text, "is no SQLite database"), (other, "none of Optuna's")):
        before = path.read_bytes()
        assert why in refused(complete, "s", "--to", f"sqlite:///{path}")
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "to", "why"),
    [
        ("s", "trials.txt", "ends in .csv, .parquet, .xlsx, or to sqlite:///optuna.db"),
        ("s", "trials", "ends in .csv, .parquet, .xlsx, or to sqlite:///optuna.db"),
        ("s", "model.pt", "must be STUDY/TRIAL"),
        ("s/0", "trials.csv", "holds all trials of a study: give s, not s/0"),
        ("s/0@best", "sqlite:///o.db", "holds all trials of a study: give s, not s/0@best"),
        ("s", "mysql://host/optuna", "must be an SQLite file"),
        ("s", "sqlite:///", "must be an SQLite file"),
    ],
)
def test_what_makes_no_sense(complete: Project, name: str, to: str, why: str) -> None:
    """One line says what to write instead, and nothing is written."""
    before = sorted(complete.root.iterdir())
    assert why in refused(complete, name, "--to", to)
    assert sorted(complete.root.iterdir()) == before
