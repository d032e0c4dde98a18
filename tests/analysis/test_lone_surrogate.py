"""Texts that no file can hold, half of a surrogate pair, do not bar a study: they are escaped."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pandas as pd
import pytest
from conftest import Project

import sweep

PROGRAM = r"""
def space(trial):
    trial.suggest_float("x", 0, 1)
    trial.suggest_categorical("kind", ["a\ud800b"])
    trial.suggest_categorical("mixed", ["\udfff", 1])

def train(trial):
    assert trial.params.kind == "a\ud800b"
    if trial.number == 1:
        raise ValueError("half \udcff of a name")
    trial.report(loss=trial.params.x, **{"m\ud800": 1.0})
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A study with such parameters, metrics and errors; written by a process of its own."""
    project = Project(tmp_path_factory.mktemp("odd"))
    (project.root / "own.py").write_text(PROGRAM)
    (project.root / "s.yaml").write_text(
        "program: own:train\nspace: own:space\nmethod: random\nmetric: {name: loss}\n"
        "trials: 2\nretries: 0\n"
    )
    done = project.run("run", "--inline", "s.yaml")
    assert done.returncode == 1, done.stderr
    assert r"kind=a\ud800b" in done.stdout
    assert r"failed: ValueError: half \udcff of a name" in done.stdout
    return project


def test_tables_show_an_escape(odd: Project) -> None:
    """On the disk, and made of the journal; the parameter itself is what it was."""
    study = sweep.open_study(odd.store / "s")
    written = pd.read_parquet(odd.store / "s" / "tables" / "trials.parquet")
    made = sweep.open_study(odd.store / "s")
    assert made.best is not None  # of the journal
    for frame in (study.trials, written, made.trials):
        assert list(frame["params.kind"]) == [r"a\ud800b"] * 2
        assert set(frame["params.mixed"]) <= {r"\udfff", "1"}
        assert frame["reason"][1] == r"ValueError: half \udcff of a name"
        assert frame[r"metrics.m\ud800"][0] == 1.0
    assert study.to_optuna().trials[0].params["kind"] == "a\ud800b"


@pytest.mark.parametrize("command", ["ls", "show s", "show s/0", "show s/1", "best s", "replay s"])
def test_commands_print_an_escape(odd: Project, command: str) -> None:
    """None fails, whether for people or as JSON."""
    done = odd.run(*command.split())
    assert (done.returncode, done.stderr) == (0, "")
    record = odd.run(*command.split(), "--json").stdout
    assert json.loads(record)
    if command.startswith("show"):
        assert r"a\ud800b" in done.stdout
        assert r"a\ud800b" in record


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_files_hold_an_escape(odd: Project, ending: str) -> None:
    """An exported table is read by whoever reads such."""
    path = odd.root / f"trials.{ending}"
    assert odd.call("export", "s", "--to", path).returncode == 0
    read = {"csv": pd.read_csv, "xlsx": pd.read_excel, "parquet": pd.read_parquet}[ending]
    assert list(read(path)["params.kind"]) == [r"a\ud800b"] * 2


def test_a_page_and_a_database(odd: Project) -> None:
    """A report is UTF-8; a database of Optuna's keeps the text as it was."""
    assert odd.call("report", "s", "--to", "s.html").returncode == 0
    assert r"half \udcff of a name" in (odd.root / "s.html").read_text(encoding="utf-8")
    assert odd.call("export", "s", "--to", "sqlite:///o.db").returncode == 0
    with closing(sqlite3.connect(odd.root / "o.db")) as connection:
        found = connection.execute("SELECT distribution_json FROM trial_params").fetchall()
    assert any(r"a\ud800b" in text for (text,) in found)


def test_no_yaml_could_say_it(odd: Project, tmp_path: Path) -> None:
    """An import whose YAML nobody could run is refused, in one line."""
    project = Project(tmp_path)
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    study = optuna.create_study(study_name="t", storage=f"sqlite:///{tmp_path / 'o.db'}")
    study.optimize(lambda trial: float(trial.suggest_categorical("k", ["\ud800", "y"]) == "y"), 2)
    done = project.call("import", "sqlite:///o.db")
    assert done.returncode == 2
    assert r"parameters.k.values[0]: '\ud800' is no text" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not project.store.exists()
