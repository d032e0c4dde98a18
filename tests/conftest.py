"""Fixtures: a project directory for each test, and the command line as real processes."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ruamel.yaml import YAML

from sweep.cli.main import main

pytest_plugins = ["fork_study", "browsing", "ray_node", "tracked_study"]

PROGRAMS = Path(__file__).parent / "program"


@dataclass
class Project:
    """A directory with programs and specs, in which `sweep` is run."""

    root: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.root / "runs"

    def spec(self, name: str, /, **content: Any) -> Path:
        """Write a spec; what is not given is a small random search."""
        path = self.root / f"{name}.yaml"
        base: dict[str, Any] = {
            "program": "odd:returns_loss",
            "method": "random",
            "metric": {"name": "loss"},
            "parameters": {"x": {"min": 0.0, "max": 1.0}},
            "trials": 3,
        }
        with path.open("w") as file:
            YAML(typ="safe").dump(base | content, file)
        return path

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Start `sweep` in the project; it is killed at the end of the test if it still runs."""
        process = subprocess.Popen(
            [sys.executable, "-m", "sweep", *map(str, arguments)],
            cwd=self.root,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command that only looks, in this process: a tenth of the time of a process."""
        out, err = io.StringIO(), io.StringIO()
        command = ["sweep", *map(str, arguments)]
        code: Any = 0
        with (
            contextlib.chdir(self.root),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.object(sys, "argv", command),
        ):
            try:
                main()
            except SystemExit as leaving:
                code = leaving.code
        return subprocess.CompletedProcess(command, code or 0, out.getvalue(), err.getvalue())

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `sweep` in the project to its end."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project with the test programs in it."""
    for program in PROGRAMS.glob("*.py"):
        shutil.copy(program, tmp_path)
    made = Project(tmp_path)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(condition: Callable[[], Any], *, within: float = 60.0) -> Any:
    """Wait for ``condition`` (another process gives no event) and return what it gave."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found
