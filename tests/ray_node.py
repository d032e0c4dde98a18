"""Nodes of Ray of a test's own: on ports and in directories that nobody else has."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    """A port on loopback that nobody listens on: other tests have clusters, too."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def token() -> dict[str, str]:
    """What has a command of Ray's show its token, where the user has one: a head asks for it."""
    there = (Path.home() / ".ray" / "auth_token").exists()
    return {"RAY_AUTH_MODE": "token"} if there else {}


@dataclass
class RayNode:
    """A node of a cluster at ``address``, and the process that started it."""

    address: str
    starter: subprocess.Popen[str]

    def process(self, name: str) -> psutil.Process:
        """The one of its processes that has this name."""
        found = psutil.Process(self.starter.pid).children(recursive=True)
        return next(each for each in found if each.name() == name)

    def kill(self) -> None:
        """SIGKILL to all of it at once, as when a machine is lost."""
        everything = psutil.Process(self.starter.pid).children(recursive=True)
        for each in [*everything, self.starter]:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
        self.starter.communicate()

    def end(self) -> None:
        assert self.starter.stdout is not None
        if self.starter.poll() is None:
            self.starter.terminate()
        if not self.starter.stdout.closed:
            self.starter.communicate(timeout=60)


Start = Callable[..., RayNode]


def start_node(directory: Path, cpus: int, address: str | None = None) -> RayNode:
    """Start the head of a new cluster, or a node of the one at ``address``."""
    place = f"--address={address}"
    if address is None:
        address = f"127.0.0.1:{free_port()}"
        place = f"--port={address.partition(':')[2]}"
    head = [f"--temp-dir={directory}", "--head", "--include-dashboard=false"]
    process = subprocess.Popen(
        [
            str(RAY), "start", "--block", place, f"--num-cpus={cpus}", "--disable-usage-stats",
            "--node-ip-address=127.0.0.1", "--object-store-memory=100000000",
            *(head if place.startswith("--port") else []),
        ],
        cwd=directory,
        env=os.environ | token(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "Ray runtime started" in line:
            return RayNode(address, process)
    process.communicate()
    pytest.fail(f"no node:\n{''.join(said)}")


@pytest.fixture
def ray_node() -> Iterator[Start]:
    """Starts nodes, which end with the test."""
    # Not below pytest's own directory: names of Ray's sockets may have 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="node-"))
    nodes: list[RayNode] = []

    def start(cpus: int, address: str | None = None) -> RayNode:
        nodes.append(start_node(directory, cpus, address))
        return nodes[-1]

    yield start
    for node in reversed(nodes):
        node.end()
    shutil.rmtree(directory, ignore_errors=True)
