"""Nodes of a cluster are lost, added and drained under a run."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time

import pytest
from conftest import Project, until
from ray_node import RAY, RayNode, Start, token
from test_server_death import (
    assert_nothing_lost,
    both_have_got_further,
    finish,
    spec_of,
    state_of,
    steps,
)

import sweep


def one_has_got_further(project: Project) -> None:
    """Wait until a trial runs that has reported since now."""
    before = sum(steps(project))
    until(lambda: sum(now := steps(project)) > before and len(now) == 1)


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rounds", [1, 10])
def test_lost_nodes_cost_nothing(project: Project, ray_node: Start, rounds: int) -> None:
    """A node with a trial on it is lost: the other goes on, and once a node is added both do."""
    chooser = random.Random(13)
    head = ray_node(1)
    node = ray_node(1, head.address)
    driver = project.start("run", spec_of(project), "--address", head.address)
    for _ in range(rounds):
        both_have_got_further(project)
        time.sleep(chooser.uniform(0.0, 1.0))
        node.kill()
        until(lambda: len(steps(project)) == 1)
        one_has_got_further(project)
        node = ray_node(1, head.address)
    both_have_got_further(project)
    finish(project, driver)
    assert_nothing_lost(project)
    ends = list(sweep.open_study(project.store / "s").attempts["end"])
    assert ends.count("interrupted") == rounds


@pytest.mark.ray
@pytest.mark.long
def test_what_waits_for_a_lost_node_is_said(project: Project, ray_node: Start) -> None:
    """Where the only node that has two cores is lost, the study waits, says so, and goes on as soon
    as there is one again."""
    head = ray_node(1)
    node = ray_node(2, head.address)
    spec = spec_of(project, trials=2, resources={"cpu": 2})
    driver = project.start("run", spec, "--address", head.address)
    one_has_got_further(project)
    node.kill()
    said = [
        "waits for resources: 1 trial needs cpu=2, "
        f"the cluster at {head.address} has 1 node with cpu=1"
    ]
    until(lambda: json.loads(project.call("show", "s", "--json").stdout)["waits"] == said)
    assert "running, waits" in project.call("ls").stdout
    assert said[0] in project.call("show", "s").stdout
    ray_node(2, head.address)
    one_has_got_further(project)
    until(lambda: "waits" not in project.call("ls").stdout)
    assert said[0] in finish(project, driver)
    assert_nothing_lost(project)


def drain(node: RayNode, id: str) -> None:
    subprocess.run(
        [
            str(RAY), "drain-node", "--address", node.address, "--node-id", id,
            "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "test",
            "--deadline-remaining-seconds", "600",
        ],
        check=True,
        env=os.environ | token(),
        capture_output=True,
        timeout=60,
    )  # fmt: skip


@pytest.mark.ray
@pytest.mark.long
def test_trials_leave_a_node_that_is_drained(project: Project, ray_node: Start) -> None:
    """A drained node's trial saves at its next safe point and goes on elsewhere; nothing is made
    again."""
    head = ray_node(1)
    node = ray_node(1, head.address)
    (project.root / "where.py").write_text(
        "import ray, time\nfrom pathlib import Path\n\n\ndef train(trial):\n"
        "    trial.track()\n    here = Path(__file__)\n"
        "    Path('/').joinpath(trial.params.log).open('a').write(\n"
        "        f'{ray.get_runtime_context().get_node_id()}\\n')\n"
        "    for epoch in trial.epochs(100_000):\n        time.sleep(0.05)\n"
        "        trial.report(loss=1.0)\n"
        "        if Path(trial.params.log).with_name('enough').exists():\n            break\n"
    )
    log = project.root / "nodes.log"
    spec = spec_of(
        project,
        program="where:train",
        trials=2,
        parameters={"x": {"min": 0.0, "max": 1.0}, "log": {"value": str(log)}},
    )
    driver = project.start("run", spec, "--address", head.address)
    both_have_got_further(project)
    ids = log.read_text().split()
    assert len(set(ids)) == 2
    table = node.process("raylet").cmdline()
    mine = next(id for id in ids if any(id in word for word in table))
    drain(head, mine)
    until(lambda: len(steps(project)) == 1)
    one_has_got_further(project)
    finish(project, driver)
    assert_nothing_lost(project)
    attempts = sweep.open_study(project.store / "s").attempts
    assert sorted(attempts["end"]) == ["complete", "complete", "stopped"]
    assert attempts["lost"].sum() == 0
    assert log.read_text().split()[2] != mine
    assert all(trial.interruptions == 0 for trial in state_of(project).trials.values())
