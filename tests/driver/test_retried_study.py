"""Studies of which a user has failed trials retried: killed anywhere, and of every method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Project
from test_every_event import recorder

import sweep
from sweep.driver import prepare
from sweep.journal.journal import read_state
from sweep.paths import StudyPaths

ASHA = {"type": "asha", "reduction_factor": 2, "max_resource": 4}
HYPERBAND = {"type": "hyperband", "reduction_factor": 2, "max_resource": 4}
STOPPING = {"type": "asha", "reduction_factor": 2, "mode": "stop"}


def called(project: Project, *arguments: str | Path) -> int:
    done = project.call(*arguments)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode


def outcome(study: Path) -> pd.DataFrame:
    return sweep.open_study(study).trials[["number", "state", "value", "steps", "params.x"]]


@pytest.mark.parametrize("scratch", [pytest.param(False, marks=pytest.mark.long), True])
def test_every_prefix_of_a_retry_ends_alike(
    project: Project, monkeypatch: pytest.MonkeyPatch, scratch: bool
) -> None:
    """Killed after any commit of a retry, a study still ends with the trials of a whole one."""
    options = ["--inline", *(["--from-scratch"] if scratch else [])]
    spec = project.spec("s", program="mended:train", checkpoint={"every": {"epochs": 1}})
    assert called(project, "run", "--inline", spec) == 1
    (project.root / "mended").touch()
    copies = project.root / "copies"
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "Journal", recorder(project.store / "s", copies))
        assert called(project, "retry", *options, "s") == 0
    whole = outcome(project.store / "s")
    prefixes = sorted(copies.iterdir())
    assert len(prefixes) > 6
    for prefix in prefixes:
        paths = StudyPaths.of(prefix, "s")
        begun = read_state(paths.journal).trials[1].retried
        command = ["resume", "--inline"] if begun else ["retry", *options]
        assert called(project, *command, "--store", prefix, "s") == 0
        pd.testing.assert_frame_equal(outcome(paths.root), whole, obj=prefix.name)
        assert called(project, "replay", "--store", prefix, "s") == 0


@pytest.mark.parametrize("scratch", [pytest.param(False, marks=pytest.mark.long), True])
@pytest.mark.parametrize(
    "content",
    [
        {"method": {"name": "tpe", "n_startup_trials": 2}},
        {"method": {"name": "tpe", "n_startup_trials": 2}, "deterministic": True},
        {"method": "cmaes", "parameters": {name: {"min": 0.0, "max": 1.0} for name in "xy"}},
        {
            "method": {"name": "nsga2", "population_size": 4},
            "metric": [{"name": "loss"}, {"name": "x"}],
        },
        {"early_terminate": ASHA},
        {"early_terminate": ASHA, "deterministic": True},
        {"early_terminate": HYPERBAND, "method": {"name": "tpe", "n_startup_trials": 2}},
        {"early_terminate": STOPPING},
    ],
    ids=["tpe", "tpe in order", "cmaes", "nsga2", "asha", "asha in order", "hyperband", "stopping"],
)
def test_a_retry_and_what_follows_it_replay(
    project: Project, scratch: bool, content: dict[str, Any]
) -> None:
    """Retried, and then given more trials, a study of every method replays from its journal."""
    base = {"program": "mended:train", "trials": 6, "retries": 0, "seed": 3}
    spec = project.spec("s", **base | content)
    called(project, "run", "--inline", spec)
    (project.root / "mended").touch()
    options = ["--from-scratch"] if scratch else []
    assert called(project, "retry", "--inline", *options, "s") == 0
    more = called(project, "run", "--inline", spec, "--set", "trials=12")
    assert more == 0
    trials = sweep.open_study(project.store / "s").trials
    assert len(trials) == 12
    assert set(trials["state"]) <= {"COMPLETE", "PRUNED"}
    done = project.call("replay", "s")
    assert done.returncode == 0, done.stdout
