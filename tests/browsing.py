"""A store of studies that were really run, and a browser to look at it with.

The browser is Debian's Chromium. Where there is none these tests are skipped, unless
``SWEEP_BROWSER=required`` says that there must be one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from conftest import PROGRAMS, Project

from sweep.paths import StudyPaths
from sweep.report.page import page
from sweep.report.subject import Subject

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_SWITCHES = """
--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync
"""

VIVID = {
    "program": "vivid:train",
    "method": "tpe",
    "trials": 14,
    "retries": 0,
    "parameters": {
        "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
        "dropout": {"min": 0.0, "max": 0.5},
        "optimizer": {"values": ["adam", "sgd", "lion"]},
        "layers": {"min": 1, "max": 6},
        "momentum": {"min": 0.5, "max": 0.99, "when": {"optimizer": "sgd"}},
    },
    "early_terminate": {"type": "median", "startup_trials": 2, "warmup_steps": 1},
    "checkpoint": {"every": {"epochs": 1}, "keep": {"last": 2, "best": 1}},
}
FRONT = {
    "program": "front:train",
    "trials": 12,
    "metric": [{"name": "loss"}, {"name": "size"}],
    "constraints": ["latency_ms <= 20"],
    "parameters": {"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}},
}


class Visit:
    """A visit to a page.

    Attributes:
        page: what Playwright acts upon.
        faults: errors on the console, what was raised, and requests to other hosts.
    """

    def __init__(self, browser: Browser, address: str, width: int, theme: str, to: Path) -> None:
        self.faults: list[str] = []
        self._host = urlsplit(address).netloc
        self._name, self._to = f"{width}-{theme}", to
        self._context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("console", lambda said: self._said(said.type, said.text))
        self.page.on("pageerror", lambda error: self.faults.append(f"raised: {error}"))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.goto(address)

    def _said(self, kind: str, text: str) -> None:
        if kind == "error":
            self.faults.append(f"said: {text}")

    def _asked(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("data", "blob") and parts.netloc != self._host:
            self.faults.append(f"asked for {address}")

    @property
    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        wide: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wide

    def picture(self, what: str, *, whole: bool = False) -> Path:
        """Take one, for people to look at."""
        path = self._to / f"{what}-{self._name}.png"
        self.page.screenshot(path=path, full_page=whole)
        assert path.stat().st_size > 5_000
        return path

    def close(self) -> None:
        self._context.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One process for all tests."""
    chromium = shutil.which("chromium")
    if chromium is None:
        said = "no Chromium: apt-get install chromium"
        if os.environ.get("SWEEP_BROWSER") == "required":
            pytest.fail(said)
        pytest.skip(said)
    from playwright.sync_api import sync_playwright  # start-up: few tests need it

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=_SWITCHES.split())
        yield started
        started.close()


@pytest.fixture(scope="session")
def played(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a study of pruned, failed, killed and resumed trials, and one of a front."""
    project = Project(tmp_path_factory.mktemp("browser"))
    for program in ("vivid.py", "front.py"):
        shutil.copy(PROGRAMS / program, project.root)
    spec = project.spec("vivid", **VIVID)
    killed = project.run("run", "--inline", spec)
    assert killed.returncode == -9, killed.stderr
    resumed = project.run("run", "--inline", spec)
    assert resumed.returncode == 1, resumed.stderr  # complete, and a trial has failed
    front = project.call("run", "--inline", project.spec("front", **FRONT))
    assert front.returncode == 0, front.stderr
    return project


@pytest.fixture(scope="session")
def report(played: Project) -> str:
    """Where the report of both studies lies."""
    path = played.root / "report.html"
    paths = [StudyPaths.of(played.store, name) for name in ("vivid", "front")]
    path.write_text(page([Subject.read(each) for each in paths]))
    return path.as_uri()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Visit]]:
    """Opens an address in a window of its own."""
    visits: list[Visit] = []

    def visited(address: str, *, width: int = 1280, theme: str = "light") -> Visit:
        visits.append(Visit(browser, address, width, theme, tmp_path))
        return visits[-1]

    yield visited
    for made in visits:
        made.close()
