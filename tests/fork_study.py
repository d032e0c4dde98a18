"""A complete study of three trials whose checkpoints tests fork, export and migrate."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import PROGRAMS, Project

from sweep.cli.main import app
from sweep.journal.journal import read_state
from sweep.journal.state import StudyState

PARAMETERS = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 0.5},
    "width": {"values": [2, 4]},
    "epochs": {"values": [6, 9], "probabilities": [1, 0.000000001]},
}
GRID = {
    "lr": {"values": [0.1, 0.01, 0.001]},
    "width": {"values": [2]},
    "epochs": {"values": [6]},
}


def spec_of(project: Project, program: str = "train", **content: object) -> Path:
    base = {
        "program": f"forks:{program}",
        "parameters": PARAMETERS,
        "trials": 3,
        "checkpoint": {"every": {"epochs": 1}, "keep": {"last": 6, "best": 1}},
    }
    return project.spec("s", **(base | content))


def state_of(project: Project) -> StudyState:
    return read_state(project.store / "s" / "journal")


def finished(project: Project, *arguments: str | Path) -> str:
    done = project.call(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a project with a complete study of three trials."""
    root = tmp_path_factory.mktemp("made")
    shutil.copy(PROGRAMS / "forks.py", root)
    project = Project(root)
    finished(project, "run", "--inline", spec_of(project))
    return root


@pytest.fixture
def complete(made: Path, project: Project) -> Project:
    """A copy of it."""
    shutil.copytree(made, project.root, dirs_exist_ok=True)
    return project


@pytest.fixture
def call(
    complete: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Calls the command in this process, in the copy; what it printed."""
    monkeypatch.chdir(complete.root)

    def called(*arguments: str) -> str:
        capsys.readouterr()
        with suppress(SystemExit):
            app(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return called


def files(project: Project) -> set[str]:
    root = project.store / "s" / "checkpoints"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def unreferenced(project: Project) -> set[str]:
    """Files of checkpoints that the journal does not know, or no longer keeps."""
    kept = {
        known.record["manifest"].removesuffix(".json")
        for trial in state_of(project).trials.values()
        for known in trial.checkpoints.values()
        if known.retired is None
    }
    found = {name.split("/", 1)[1] for name in files(project)}
    return {name for name in found if not any(name.startswith(stem) for stem in kept)}
