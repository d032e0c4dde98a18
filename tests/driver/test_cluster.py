"""An existing Ray cluster: the code travels there, and the study ends like any other."""

from __future__ import annotations

import pytest
from conftest import Project
from ray_node import Start

import sweep


@pytest.mark.ray
def test_code_reaches_an_existing_cluster(project: Project, ray_node: Start) -> None:
    """Modules beside the spec are imported on the cluster, also those that the trial imports."""
    (project.root / "helper.py").write_text("FACTOR = 3.0\n")
    (project.root / "uses_helper.py").write_text(
        "import os\nimport helper\n\n\ndef train(trial):\n"
        "    return {'loss': trial.params.x * helper.FACTOR, 'parent': os.getppid()}\n"
    )
    spec, address = project.spec("s", program="uses_helper:train", trials=4), ray_node(2).address
    done = project.run("run", spec, "--address", address)
    assert done.returncode == 0, done.stderr
    trials = sweep.open_study(project.store / "s").trials
    assert (trials["value"] == trials["params.x"] * 3.0).all()
    assert project.run("run", spec, "--set", "trials=6", "--address", address).returncode == 0
    assert len(sweep.open_study(project.store / "s").trials) == 6


def test_unreachable_cluster_is_one_line(project: Project) -> None:
    """An address where no cluster answers is named, and no study is made."""
    done = project.run("run", project.spec("s"), "--address", "127.0.0.1:1")
    assert done.returncode == 2
    assert "127.0.0.1:1" in done.stderr.splitlines()[-1]
    assert not (project.store / "s").exists()
