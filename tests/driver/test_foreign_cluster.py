"""Clusters of others: nothing here joins one that was not named."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Project
from ray_node import Start

import sweep

ROOT = Path(__file__).parents[2]

ASKING = """
import ray

def train(trial):
    mine = ray.get_runtime_context().gcs_address
    return {"loss": trial.params.x, "foreign": float(mine == trial.params.foreign)}
"""


def calls_of_init(source: str) -> Iterator[ast.Call]:
    """All calls of `ray.init` in ``source``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ray.init":
            yield node


def test_whoever_starts_ray_names_the_cluster() -> None:
    """Each `ray.init` in the package, its tests, benchmarks and examples has an address: without
    one it joins the cluster that it finds on this machine, whoever's that is."""
    found = 0
    for folder in ("sweep", "tests", "benchmarks", "trials"):
        for path in (ROOT / folder).rglob("*.py"):
            for call in calls_of_init(path.read_text()):
                found += 1
                assert "address" in {each.arg for each in call.keywords}, f"{path}:{call.lineno}"
    assert found >= 4


@pytest.mark.ray
def test_an_address_in_the_environment_is_no_name(project: Project) -> None:
    """RAY_ADDRESS is ignored: a run without `--address` starts Ray on this machine."""
    spec = project.spec("study", trials=1, concurrency=1)
    done = project.run("run", spec, RAY_ADDRESS="127.0.0.1:1")
    assert done.returncode == 0, done.stderr


@pytest.mark.ray
@pytest.mark.long
def test_a_cluster_that_is_there_is_left_alone(project: Project, ray_node: Start) -> None:
    """Beside a foreign cluster, with RAY_ADDRESS naming it: no trial runs there."""
    foreign = ray_node(1).address
    (project.root / "asking.py").write_text(ASKING)
    parameters = {"x": {"min": 0.0, "max": 1.0}, "foreign": {"value": foreign}}
    spec = project.spec("study", program="asking:train", parameters=parameters)
    done = project.run("run", spec, RAY_ADDRESS=foreign)
    assert done.returncode == 0, done.stderr
    trials = sweep.open_study(project.store / "study").trials
    assert list(trials["metrics.foreign"]) == [0.0] * 3
