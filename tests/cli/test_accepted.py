"""Studies that change, learn from others, or know a result already: as users meet them."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Project

import sweep
from sweep.cli.beginning import reasons_text
from sweep.driver.prepare import open_study, request_run
from sweep.journal.journal import read_state
from sweep.spec import load_spec


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def ran(project: Project, *arguments: str | Path) -> str:
    done = project.call("run", "--inline", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_changed_space_is_accepted(project: Project) -> None:
    """Refused with the flag that accepts it; with it the old trials stay and the study goes on."""
    spec = project.spec("s", trials=4)
    ran(project, spec)
    old = sweep.open_study(project.store / "s").trials
    change = ("--set", "parameters.x.max=0.5", "--set", "trials=6")
    refused = project.call("run", "--inline", spec, *change, "--json")
    assert refused.returncode == 2
    assert "--accept-changes" in refused.stderr
    assert lines(refused.stdout) == [
        {
            "study": "s",
            "refused": [{"path": "parameters.x.max", "old": "1.0", "new": "0.5"}],
        }
    ]
    said = ran(project, spec, *change, "--accept-changes")
    assert "s: parameters.x.max: 1.0 -> 0.5\n" in said
    outside = int((old["params.x"] > 0.5).sum())
    assert outside > 0
    note = f"the sampler is not told of {outside} trials: x: must be from 0.0 to 0.5, not"
    assert f"s: {note}" in said
    trials = sweep.open_study(project.store / "s").trials
    assert trials.head(4).equals(old)
    assert (trials["params.x"].tail(2) <= 0.5).all()
    assert note in project.call("show", "s").stdout
    shown = json.loads(project.call("show", "s", "--json").stdout)
    assert len(shown["left_out"]) == outside
    assert project.call("replay", "s").returncode == 0
    ran(project, spec, *change)  # no longer a change


def test_changes_of_a_complete_study_as_json(project: Project) -> None:
    """What was accepted and who was left out is one document, also where nothing is left to run."""
    spec = project.spec("s", trials=3)
    ran(project, spec)
    change = ("--set", "parameters.x.min=0.999", "--set", "seed=1")
    said = lines(ran(project, spec, *change, "--accept-changes", "--json"))
    assert {change["path"] for change in said[0]["changes"]} == {"parameters.x.min", "seed"}
    assert len(said[0]["left_out"]) == 3
    assert said[-1]["states"] == {"COMPLETE": 3}


def test_another_metric_is_never_accepted(project: Project) -> None:
    """The values of the trials would mean something else."""
    spec = project.spec("s")
    ran(project, spec)
    done = project.call(
        "run", "--inline", spec, "--set", "metric.goal=maximize", "--accept-changes"
    )
    assert done.returncode == 2
    assert "metric.goal: minimize -> maximize" in done.stderr
    assert "--accept-changes" not in done.stderr


@pytest.mark.parametrize(
    "setting",
    [
        "trials=2",
        "trials=5",
        "early_terminate={type: median}",
        "checkpoint.every={epochs: 3}",
        "resources.cpu=2",
        "enqueue=[{x: 0.5}]",
        "duplicates=reuse",
    ],
)
def test_what_needs_no_flag(project: Project, setting: str) -> None:
    """More or fewer trials, other pruning, checkpointing, resources: just run it again."""
    spec = project.spec("s")
    ran(project, spec)
    ran(project, spec, "--set", setting)
    assert project.call("replay", "s").returncode == 0


def test_a_smaller_grid(project: Project) -> None:
    """A grid that shares nothing with the older one is gone through to its end."""
    parameters = {"x": {"values": [1, 2, 3, 4]}}
    spec = project.spec("s", method="grid", trials=None, parameters=parameters)
    ran(project, spec)
    said = ran(project, spec, "--set", "parameters.x.values=[4, 5, 6]", "--accept-changes")
    assert "s: goes on: 4 of 6 trials are finished" in said
    assert list(sweep.open_study(project.store / "s").trials["params.x"]) == [1, 2, 3, 4, 5, 6]
    assert project.call("replay", "s").returncode == 0


def test_a_warm_start(project: Project) -> None:
    """Another study's trials are history; it may be deleted afterwards."""
    ran(project, project.spec("other", trials=6))
    parameters = {"x": {"min": 0.0, "max": 0.5}}
    spec = project.spec("s", method="tpe", parameters=parameters, warm_start=["runs/other"])
    said = ran(project, spec)
    state = read_state(project.store / "s" / "journal")
    (history,) = state.histories
    left = len(history.left_out)
    assert len(history.trials) + left == 6
    assert (
        f"s: warm start from runs/other: {len(history.trials)} trials, {left} left out: x" in said
    )
    assert len(state.trials) == 3
    study = sweep.open_study(project.store / "s")
    assert len(study.trials) == len(study.iterations) == 3
    ran(project, spec, "--set", "trials=4", "--set", "warm_start=[other, runs/other, ./runs/other]")
    shutil.rmtree(project.store / "other")
    ran(project, spec, "--set", "trials=5")
    assert "warm start  runs/other:" in project.call("show", "s").stdout
    assert project.call("replay", "s").returncode == 0
    assert len(read_state(project.store / "s" / "journal").histories) == 1


def test_history_holds_its_metric_to_its_meaning(project: Project) -> None:
    """A study that has another one's values, and no trial yet, does not change their metric."""
    ran(project, project.spec("other", trials=3))
    path = project.spec("s", method="tpe", warm_start=["runs/other"])
    spec = load_spec(path)
    with contextlib.chdir(project.root):
        open_study(request_run(project.store, spec, str(project.root))).end(
            "stopped", lambda entry: None
        )
    assert not read_state(project.store / "s" / "journal").trials
    done = project.call("run", path, "--set", "metric.goal=maximize", "--accept-changes")
    assert done.returncode == 2
    assert "its results would not fit" in done.stderr


def test_a_warm_start_as_json(project: Project) -> None:
    """What was taken is the first document; a name in the store is understood; a method that
    learns nothing is warned of."""
    ran(project, project.spec("other", trials=2))
    done = project.call("run", "--inline", project.spec("s", warm_start="other"), "--json")
    assert lines(done.stdout)[0] == {
        "study": "s",
        "warm_start": [{"source": "other", "taken": 2, "left_out": []}],
    }
    assert "warning: s: random learns nothing from warm_start" in done.stderr


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("runs/none", "s: warm_start: runs/none: no study; give its directory"),
        ("s", "s: warm_start: s: is this study itself"),
    ],
)
def test_a_warm_start_from_nothing(project: Project, source: str, says: str) -> None:
    """It is one line, and nothing is begun."""
    done = project.call("run", "--inline", project.spec("s", warm_start=source))
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (project.store / "s").exists()


def test_a_known_result_is_not_executed_again(project: Project) -> None:
    """The trial is complete at once, with the older one's result, and says whose it is."""
    spec = project.spec(
        "s",
        parameters={"x": {"values": [1.0, 2.0]}},
        trials=8,
        duplicates="reuse",
        enqueue=[{"x": 1.0}, {"x": 1.0}],
    )
    said = ran(project, spec)
    assert "trial 1 complete: loss" in said
    assert ", the result of trial 0 in" in said
    trials = sweep.open_study(project.store / "s").trials
    assert list(trials["state"]) == ["COMPLETE"] * 8
    assert list(trials["attempts"]).count(1) == 2
    assert trials.groupby("params.x")["value"].nunique().eq(1).all()
    assert trials["reason"][1] == "has the parameters of trial 0, whose result it takes over"
    assert project.call("replay", "s").returncode == 0


def test_reasons_in_one_line() -> None:
    """Each parameter is said once, with how many trials it concerns."""
    reasons = ["lr: must be a, not 1", "lr: must be a, not 2", "b: is new"]
    assert reasons_text(reasons) == "lr: must be a, not 1 (2), b: is new (1)"
