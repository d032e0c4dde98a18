"""An existing Ray cluster: the code travels there, and the study ends like any other."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Project

import sweep

RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    """A port on loopback that nobody listens on: other tests have clusters, too."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def address() -> Iterator[str]:
    """A cluster of one node on loopback, started in a directory without the project."""
    # Not below pytest's own directory: names of Ray's sockets may have 107 bytes.
    elsewhere = Path(tempfile.mkdtemp(prefix="node-"))
    port = free_port()
    node = subprocess.Popen(
        [
            str(RAY), "start", "--head", "--block", f"--port={port}", "--num-cpus=2",
            "--node-ip-address=127.0.0.1", "--include-dashboard=false",
            f"--temp-dir={elsewhere}", "--disable-usage-stats", "--object-store-memory=100000000",
        ],
        cwd=elsewhere,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    assert node.stdout is not None
    said = []
    for line in node.stdout:
        said.append(line)
        if "Ray runtime started" in line:
            break
    else:
        node.communicate()
        pytest.fail(f"no cluster:\n{''.join(said)}")
    yield f"127.0.0.1:{port}"
    node.terminate()
    node.communicate(timeout=60)
    shutil.rmtree(elsewhere, ignore_errors=True)


@pytest.mark.ray
def test_code_reaches_an_existing_cluster(project: Project, address: str) -> None:
    """Modules beside the spec are imported on the cluster, also those that the trial imports."""
    (project.root / "helper.py").write_text("FACTOR = 3.0\n")
    (project.root / "uses_helper.py").write_text(
        "import os\nimport helper\n\n\ndef train(trial):\n"
        "    return {'loss': trial.params.x * helper.FACTOR, 'parent': os.getppid()}\n"
    )
    spec = project.spec("s", program="uses_helper:train", trials=4)
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
