"""Finite spaces end once every combination was tried, whatever the method."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from test_kill import state_of

from sweep.driver.backend import Key, WorkerDied
from sweep.driver.plan import IN_A_ROW, INTERRUPTED, Halt, plan
from sweep.driver.prepare import open_study, request_run
from sweep.errors import BackendError
from sweep.journal.event import SpaceExhausted
from sweep.journal.segment import read_entries
from sweep.spec import parse_spec
from sweep.spec.value import identity

GRID = {"x": {"values": [1, 2, 3]}, "y": {"values": [1, 2, 3, 4]}}
CONDITIONAL = {
    "kind": {"values": ["a", "b"]},
    "x": {"min": 1, "max": 3, "when": {"kind": "a"}},
    "y": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.5, "when": {"kind": "b"}},
    "z": {"values": [0, 1], "probabilities": [1.0, 0.0], "when": {"kind": "b"}},
}
METHODS: list[Any] = [
    "random",
    "tpe",
    "cmaes",
    {"name": "nsga2", "population_size": 4},
    "qmc",
]


def check(project: Project, combinations: int) -> None:
    """The study holds each combination once, is complete, says why, and replays."""
    state = state_of(project, "s")
    tried = [identity(trial.params) for trial in state.trials.values()]
    assert len(tried) == len(set(tried)) == combinations
    ended = [each.event for each in read_entries(project.store / "s" / "journal")]
    assert [e.tried for e in ended if isinstance(e, SpaceExhausted)] == [combinations]
    note = (
        f"every combination of the space was tried: it ends after {combinations} trials, "
        "and trials is 30"
    )
    (listed,) = json.loads(project.call("ls", "--json").stdout)
    assert (listed["status"], listed["total"]) == ("complete", combinations)
    assert listed["note"] == note
    assert note in project.call("ls").stdout
    assert note in project.call("show", "s").stdout
    assert json.loads(project.call("show", "s", "--json").stdout)["note"] == note
    replayed = project.call("replay", "s")
    assert replayed.returncode == 0, replayed.stdout


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_ends(project: Project, method: Any) -> None:
    """Twelve combinations are twelve trials, each tried once."""
    spec = project.spec(
        "s",
        program="finite:train",
        method=method,
        parameters=GRID,
        trials=30,
        duplicates="resample",
    )
    ran = project.call("run", "--inline", spec)
    assert ran.returncode == 0, ran.stderr
    assert "every combination of the space was tried" in ran.stdout
    check(project, 12)
    again = project.call("resume", "s", "--inline")
    assert "already complete" in again.stdout
    assert "every combination of the space was tried" in again.stdout


@pytest.mark.parametrize("method", ["random", "tpe"])
@pytest.mark.parametrize("lookahead", [True, False])
def test_conditions(project: Project, method: str, lookahead: bool) -> None:
    """What has no meaning makes no further combination."""
    spec = project.spec(
        "s",
        program="finite:train",
        method=method,
        parameters=CONDITIONAL,
        trials=30,
        duplicates="resample",
        lookahead=lookahead,
    )
    assert project.call("run", "--inline", spec).returncode == 0
    check(project, 6)


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_a_function_that_suggests(project: Project, method: str) -> None:
    """The combinations of a space function are found by calling it."""
    spec = project.spec(
        "s",
        program="finite:train",
        method=method,
        parameters={},
        space="finite:define",
        trials=30,
        duplicates="resample",
    )
    text = spec.read_text().replace("parameters: {}\n", "")
    spec.write_text(text)
    ran = project.call("run", "--inline", spec)
    assert ran.returncode == 0, ran.stderr
    check(project, 7)


def test_a_larger_space_goes_on(project: Project) -> None:
    """Another value of a parameter makes new combinations, of which each is tried, too."""
    spec = project.spec(
        "s", program="finite:train", parameters=GRID, trials=30, duplicates="resample"
    )
    assert project.call("run", "--inline", spec).returncode == 0
    more = GRID | {"x": {"values": [1, 2, 3, 4]}}
    spec = project.spec(
        "s", program="finite:train", parameters=more, trials=30, duplicates="resample"
    )
    assert project.call("run", "--inline", "--accept-changes", spec).returncode == 0
    assert len(state_of(project, "s").trials) == 16
    assert project.call("replay", "s").returncode == 0


def test_a_grid_says_so_too(project: Project) -> None:
    """A grid that is smaller than trials names its end."""
    spec = project.spec("s", program="finite:train", method="grid", parameters=GRID, trials=30)
    ran = project.call("run", "--inline", spec)
    assert "every combination of the space was tried: it ends after 12 trials" in ran.stdout


def test_an_exhausted_study_halts_where_nothing_but_interruptions_happens(tmp_path: Path) -> None:
    """The end of the space is known to whoever says why the study must halt."""
    text = (
        "program: odd:sleeps\nmetric: {name: loss}\nparameters: {x: {values: [1]}}\n"
        "method: random\ntrials: 9\nduplicates: resample\n"
    )
    study = open_study(request_run(tmp_path, parse_spec(text, "s.yaml"), str(tmp_path)))
    number = study.ask()
    assert number == 0
    assert study.ask() is None
    for _ in range(IN_A_ROW):
        study.handle(Key.of(study.assign(number)), WorkerDied(reason="a test"))
    assert plan(study.state, 1, study.limits, study.now) == [Halt(INTERRUPTED)]
    study.halt_interrupted()
    assert isinstance(study.refused, BackendError)
    study.end("a test", lambda entry: None)
