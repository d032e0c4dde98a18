"""docs/tables.md says of every column what it is; here it is held against real frames."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from conftest import PROGRAMS, Project

import sweep

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
NAMES = ("trials", "attempts", "reports", "checkpoints", "iterations")


def documented() -> dict[str, dict[str, str]]:
    """The type of each column, by table; a name may end with a star."""
    found: dict[str, dict[str, str]] = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        rows = re.findall(r"^\| (`.+?) \| (.+?) \|", section, re.MULTILINE)
        found[section.split("\n")[0]] = {
            name: kind for names, kind in rows for name in re.findall(r"`(.+?)`", names)
        }
    return found


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[sweep.analysis.study.Study]:
    """One with an objective, a fork and checkpoints, one with two objectives and a constraint."""
    project = Project(tmp_path_factory.mktemp("tables"))
    (project.root / "exact.py").write_bytes((PROGRAMS / "exact.py").read_bytes())
    program = "def train(trial):\n    for epoch in trial.epochs(2):\n        trial.report("
    (project.root / "two.py").write_text(program + "a=trial.params.x, b=-trial.params.x)\n")
    parameters = {"width": {"value": 4}, "epochs": {"value": 3}, "lr": {"min": 0.01, "max": 0.1}}
    one = project.spec("one", program="exact:train", trials=2, parameters=parameters)
    metric = [{"name": "a"}, {"name": "b", "goal": "maximize"}]
    two = project.spec("two", program="two:train", metric=metric, constraints=["a <= 0.5"])
    for spec in (one, two):
        assert project.call("run", "--inline", spec).returncode == 0
    return [sweep.open_study(project.store / name) for name in ("one", "two")]


@pytest.mark.parametrize("name", NAMES)
def test_columns_and_types(name: str, studies: list[sweep.analysis.study.Study]) -> None:
    """Each column has a row with its type, and each row a column."""
    rows, seen = documented()[name], set()
    for study in studies:
        frame: pd.DataFrame = getattr(study, name)
        for column in frame:
            group = f"{str(column).partition('.')[0]}.*"
            row = group if group in rows else str(column)
            assert row in rows, f"{column} of {name} is not in {PAGE.name}"
            seen.add(row)
            if row != "params.*":
                assert str(frame[column].dtype) == rows[row], column
    assert seen == set(rows)


def test_every_table_is_there() -> None:
    """The page has a section for each, and no other."""
    assert tuple(documented()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_file_reads_in_one_line(name: str, studies: list[sweep.analysis.study.Study]) -> None:
    """Plain pandas reads the same rows."""
    for study in studies:
        plain = pd.read_parquet(study.paths.tables / f"{name}.parquet")
        pd.testing.assert_frame_equal(
            plain, getattr(study, name), check_dtype=False, check_categorical=False
        )
