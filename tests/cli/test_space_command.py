"""A space function as a user meets it: it runs, goes on, is replayed, forked and changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from subprocess import CompletedProcess

import pytest
from conftest import Project

SPACE = """
def define(trial):
    if trial.suggest_categorical("kind", ["far", "near"]) == "far":
        trial.suggest_float("group.y", 1.0, 2.0)
    trial.suggest_float("x", 0.0, 1.0)
"""


SPEC = """
program: shapes:epochs
method: random
metric: {name: loss}
trials: 4
space: spaces:define
checkpoint: {keep: {last: 9}}
"""


@pytest.fixture(autouse=True)
def _modules(project: Project) -> Iterator[None]:
    (project.root / "s.yaml").write_text(SPEC)
    path = list(sys.path)
    write(project, SPACE)
    yield
    sys.path[:] = path
    for name in ("spaces", "shapes"):
        sys.modules.pop(name, None)


def write(project: Project, source: str) -> None:
    """Another source, as a new process would find it."""
    (project.root / "spaces.py").write_text(source)
    sys.modules.pop("spaces", None)


def run(project: Project, *settings: str, spec: str = "s.yaml") -> CompletedProcess[str]:
    overrides = [part for setting in settings for part in ("--set", setting)]
    return project.call("run", spec, "--inline", *overrides)


def test_it_runs_goes_on_and_is_derived_again(project: Project) -> None:
    """Another source of the function is said, refused under strict_code, and found by a replay."""
    ran = run(project)
    assert (ran.returncode, ran.stderr) == (0, "")
    replayed = project.call("replay", "s")
    assert (replayed.returncode, "4 suggestions" in replayed.stdout) == (0, True)
    shown = json.loads(project.call("show", "s", "--json").stdout)
    assert shown["spec"]["space"] == "spaces:define"
    assert "space: spaces:define" in (project.store / "s" / "spec.yaml").read_text()

    write(project, SPACE.replace("0.0, 1.0", "0.25, 1.0"))
    strict = run(project, "trials=5", "strict_code=true")
    assert strict.returncode == 2
    says = "s: the source of space spaces:define is not the one that suggested the trials so far"
    assert strict.stderr.startswith(f"sweep: {says}: put it back")
    more = run(project, "trials=5")
    assert (more.returncode, more.stderr) == (0, f"sweep: {says}; it goes on with the new one\n")
    again = run(project, "trials=6")
    assert (again.returncode, again.stderr) == (0, "")
    changed = project.call("replay", "s")
    assert changed.returncode == 3
    assert "note: space spaces:define was" in changed.stdout


def test_a_fork_is_held_against_the_function(project: Project) -> None:
    assert run(project).returncode == 0
    fork = ["fork", "s/0@1.0", "--set", "kind=far", "--set", "group.y=1.5"]
    refused = project.call(*fork, "--set", "x=3.0")
    assert (refused.returncode, "x: must be from 0.0 to 1.0" in refused.stderr) == (2, True)
    forked = project.call(*fork, "--set", "x=0.25")
    assert forked.returncode == 0, forked.stderr
    assert project.call("resume", "s", "--inline").returncode == 0
    replayed = project.call("replay", "s")
    assert replayed.returncode == 0, replayed.stderr


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def define(trial):\n    1 / 0\n", "raised ZeroDivisionError: division by zero ("),
        ("def other(trial):\n    pass\n", "has no 'define'"),
    ],
)
def test_a_function_that_fails(project: Project, source: str, says: str) -> None:
    """One line, exit code 2; what was begun can go on once it is mended."""
    write(project, source)
    ran = run(project)
    assert ran.returncode == 2
    assert "space 'spaces:define': " in ran.stderr
    assert says in ran.stderr
    assert ran.stderr.count("\n") == 1
    write(project, SPACE)
    assert run(project).returncode == 0


def test_a_file_of_wandbs_runs_as_it_is(project: Project) -> None:
    """What belongs to its service is named, a line each, and stops nothing."""
    spec = project.spec(
        "w",
        program="shapes:nested",
        project="p",
        entity="me",
        run_cap=2,
        parameters={
            "x": {"min": 0.0, "max": 1.0},
            "optimizer": {"parameters": {"lr": {"distribution": "beta"}, "name": {"value": "sgd"}}},
        },
    )
    spec.write_text(spec.read_text().replace("trials: 3\n", ""))
    ran = run(project, spec="w.yaml")
    assert ran.returncode == 0, ran.stderr
    service = "belongs to W&B's service: ignored"
    assert ran.stderr.splitlines() == [
        f"sweep: warning: w.yaml:1: entity: {service}",
        f"sweep: warning: w.yaml:11: project: {service}",
    ]
    table = json.loads(project.call("show", "w/0", "--json").stdout)
    assert table["params"].keys() == {"x", "optimizer.lr", "optimizer.name"}
