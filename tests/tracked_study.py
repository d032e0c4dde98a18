"""Fixtures: a server of MLflow for all tests, a way to it, and a study that was killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from mlflow_server import MlflowServer

    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.close()


@pytest.fixture
def door(mlflow_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A door to the server, open; this process tries nothing twice by itself."""
    from mlflow_server import Door

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    made = Door(mlflow_server.port)
    made.open()
    yield made
    made.close()


@pytest.fixture(scope="session")
def killed_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a study without trackers, whose driver was killed when a trial had reported
    more than it had saved, and which then went on to its end."""
    from conftest import PROGRAMS, Project, until

    from sweep.journal.event import TrialReported
    from sweep.journal.journal import read_state
    from sweep.journal.segment import read_entries
    from sweep.journal.state import Trial

    project = Project(tmp_path_factory.mktemp("killed"))
    shutil.copy(PROGRAMS / "exact.py", project.root)
    spec = project.spec(
        "study",
        program="exact:train",
        parameters={
            "width": {"values": [4, 8]},
            "lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 1e-1},
            "epochs": {"value": 6},
        },
        checkpoint={"every": {"epochs": 3}},
        trials=4,
    )
    journal = project.store / "study" / "journal"

    def ahead(trial: Trial) -> bool:
        saved = max((kept.step or 0 for kept in trial.kept), default=99)
        return max(trial.reports, default=0) > saved

    def caught() -> bool:
        return journal.is_dir() and any(map(ahead, read_state(journal).running.values()))

    process = project.start("run", "--inline", spec, STEP_S="0.03")
    until(caught)
    process.kill()
    process.communicate()
    done = project.call("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    made = [
        (entry.event.trial, entry.event.step)
        for entry in read_entries(journal)
        if isinstance(entry.event, TrialReported)
    ]
    assert len(made) > len(set(made))  # some steps were executed again
    return project.store / "study"
