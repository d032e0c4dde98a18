"""A study whose driver waits for Ray: it is there, it is named as starting, and it can be ended."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator

import pytest
from conftest import Project, until


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a cluster that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ray://127.0.0.1:{server.getsockname()[1]}"


def status(project: Project) -> str | None:
    found = json.loads(project.call("ls", "--json").stdout)
    return found[0]["status"] if found else None


def test_a_new_study(project: Project, silent: str) -> None:
    """It is listed as starting, others are kept from it, and nothing is left of it when it ends."""
    driver = project.start("run", project.spec("s"), "--address", silent)
    assert until(lambda: status(project)) == "starting"
    shown = project.call("show", "s")
    assert (shown.returncode, "the study is starting: process" in shown.stderr) == (3, True)
    refused = project.call("run", "--inline", "s.yaml")
    assert refused.returncode == 3
    assert f"is being run by process {driver.pid}" in refused.stderr
    driver.send_signal(signal.SIGTERM)
    out, _ = driver.communicate(timeout=60)
    assert f"joining Ray at {silent} ..." in out
    assert status(project) is None
    assert list(project.store.iterdir()) == []


def test_a_resumed_study(project: Project, silent: str) -> None:
    """So is one that exists: it starts, and stands as it did once its driver is killed."""
    spec = project.spec("s")
    assert project.call("run", "--inline", spec).returncode == 0
    driver = project.start("run", spec, "--set", "trials=5", "--address", silent)
    until(lambda: status(project) == "starting")
    assert "s (starting)" in project.call("show", "s").stdout
    driver.kill()
    driver.wait()
    assert status(project) == "complete"
    assert "7 trials" in project.call("run", "--inline", spec, "--set", "trials=7").stdout


def test_json_keeps_to_its_stream(project: Project, silent: str) -> None:
    """With JSON the line goes to the standard error; the standard output has documents alone."""
    driver = project.start("run", project.spec("s"), "--address", silent, "--json")
    until(lambda: status(project) == "starting")
    driver.terminate()
    out, err = driver.communicate(timeout=60)
    assert (out, "joining Ray at" in err) == ("", True)
