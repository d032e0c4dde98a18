"""`sweep dashboard`: where it is served, to whom, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from conftest import Project, until


@pytest.fixture
def made(project: Project) -> Project:
    """A project with a complete study."""
    assert project.call("run", "--inline", project.spec("good")).returncode == 0
    return project


def served(
    project: Project, *arguments: str, **environment: str
) -> tuple[subprocess.Popen[str], str]:
    """A dashboard at a free port, and its address."""
    process = project.start("dashboard", "--port", "0", "--json", *arguments, **environment)
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said, process.communicate()[1]
    told: dict[str, Any] = json.loads(said)
    assert told["studies"] == 1
    return process, told["url"]


def get(url: str, **headers: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.headers
    except HTTPError as error:
        with error:
            return error.code, error.headers


def test_it_is_opened_and_a_signal_ends_it(made: Project) -> None:
    """With the code of success, nothing on the standard error, and the port free again."""
    opened = made.root / "opened"
    browser = made.root / "browser"
    browser.write_text(f"#!/bin/sh\necho $1 > {opened}\n")
    browser.chmod(0o755)
    process, url = served(made, "--open", BROWSER=f"{browser} %s")
    until(lambda: opened.exists() and opened.read_text() == f"{url}\n")
    assert get(url)[0] == 200
    port = int(url.rstrip("/").rpartition(":")[2])
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_beyond_this_machine_a_token_is_made_up(made: Project) -> None:
    """It is in the address that is printed, lets in whoever opens it, and is written nowhere."""
    process, url = served(made, "--host", "0.0.0.0")
    parts = urlsplit(url)
    assert parts.hostname == socket.gethostname().lower()
    place, token = f"http://127.0.0.1:{parts.port}/", parts.query.removeprefix("token=")
    assert len(token) >= 32
    assert get(place)[0] == 401
    assert get(place + "?token=wrong")[0] == 401
    status, headers = get(f"{place}?token={token}")
    assert status == 200
    ((name, morsel),) = SimpleCookie(headers["Set-Cookie"]).items()
    assert get(place + "api/studies", Cookie=f"{name}={morsel.value}")[0] == 200
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0
    assert not any(token.encode() in path.read_bytes() for path in files(made.root))


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_port_that_is_taken_is_named(made: Project) -> None:
    """In a line, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = made.call("dashboard", "--port", str(port))
    assert done.returncode == 2
    assert f"127.0.0.1:{port}/: cannot listen there (Address already in use)" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere",), 3, "nowhere: no studies; give the directory that holds them"),
        (("empty",), 3, "empty: no studies; give the directory that holds them"),
        (("good.yaml",), 2, "good.yaml: is no directory"),
        (("runs", "--token", "short"), 2, "--token: must be 16 or more letters"),
        (("runs", "--host", "no such host"), 2, "cannot listen there"),
    ],
)
def test_what_cannot_be_served_is_said(
    made: Project, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """In a line."""
    (made.root / "empty").mkdir()
    done = made.call("dashboard", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_is_not_installed_is_named(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    monkeypatch.delitem(sys.modules, "sweep.dashboard.site", raising=False)
    done = made.call("dashboard")
    assert done.returncode == 2
    assert "pip install 'sweep[dashboard]'" in done.stderr
    assert done.stderr.count("\n") == 1
