"""Studies that an older sweep wrote are read, replayed, verified and resumed.

``golden/studies.tar.xz`` holds ``runs/``, which sweep 0.1.0 (commit 307dc08) made from the specs
beside it on two slots, killed twice with SIGKILL, and ``expected/``, the tables that it read from
them. It is never made anew: whatever it holds must be understood for ever.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project

import sweep

GOLDEN = Path(__file__).parent / "golden"
STUDIES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))


def unpack(directory: Path) -> None:
    """Lay the golden project into ``directory``."""
    with tarfile.open(GOLDEN / "studies.tar.xz") as archive:
        archive.extractall(directory, filter="data")
    for path in (*GOLDEN.glob("*.yaml"), *GOLDEN.glob("*.py")):
        shutil.copy(path, directory)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The golden studies, to be looked at only."""
    directory = tmp_path_factory.mktemp("golden")
    unpack(directory)
    return Project(directory)


@pytest.mark.parametrize("table", ["trials", "reports", "iterations"])
@pytest.mark.parametrize("name", STUDIES)
def test_an_old_study_has_the_tables_that_it_had(golden: Project, name: str, table: str) -> None:
    """Every column that the older sweep read from its study is read alike, type and value."""
    expected = pd.read_parquet(golden.root / "expected" / name / f"{table}.parquet")
    found = getattr(sweep.open_study(golden.store / name), table)
    pd.testing.assert_frame_equal(found[list(expected)], expected)


@pytest.mark.parametrize("name", STUDIES)
def test_an_old_study_is_replayed(golden: Project, name: str) -> None:
    """Suggestions, verdicts and results of an older sweep follow from its journal."""
    done = golden.call("replay", name)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", STUDIES)
def test_an_old_study_is_verified(golden: Project, name: str) -> None:
    """Nothing of a study of an older sweep is taken for damage."""
    done = golden.call("verify", name, "--json")
    assert done.returncode == 0, done.stdout + done.stderr


def test_old_studies_are_resumed(project: Project) -> None:
    """Killed studies of an older sweep resume to their end, lose nothing, and are replayed."""
    unpack(project.root)
    before = {name: sweep.open_study(project.store / name).trials for name in STUDIES}
    specs = [f"{name}.yaml" for name in STUDIES]
    done = project.run("run", *specs, "--inline")
    assert done.returncode in (0, 1), done.stderr  # 1: trials of tpe_failures failed
    for name in STUDIES:
        after = sweep.open_study(project.store / name).trials
        assert not set(after["state"]) & {"RUNNING", "PAUSED"}, name
        finished = before[name][before[name]["state"].isin(["COMPLETE", "PRUNED", "FAILED"])]
        again = after.loc[finished.index, list(finished)]
        pd.testing.assert_frame_equal(again, finished)
        assert project.call("replay", name).returncode == 0, name
