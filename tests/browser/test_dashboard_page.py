"""The dashboard in a browser: it shows what is there and what comes, and refuses to write."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from browsing import FRONT, Visit
from conftest import Project
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

REFUSED = "the server responded with a status of 403"


@pytest.fixture(scope="module")
def url(played: Project) -> Iterator[str]:
    """Where a dashboard serves the store."""
    process = played.start("dashboard", "--port", "0", "--json")
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["url"]
    process.terminate()
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 800)])
def test_the_list_of_studies(url: str, visit: Callable[..., Visit], theme: str, width: int) -> None:
    """It has all studies, with links to the dashboard and to the report and back."""
    seen = visit(url, theme=theme, width=width)
    page = seen.page
    row = page.get_by_role("row", name="vivid")
    expect(row).to_contain_text("complete")
    assert seen.overflow == 0
    seen.picture("studies")
    row.get_by_role("link", name="report").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("vivid")
    assert seen.overflow == 0
    page.get_by_role("link", name="All studies").click()
    page.get_by_role("row", name="front").get_by_role("link", name="dashboard").click()
    expect(page.get_by_text("Pareto Front")).to_be_visible()
    seen.picture("front")
    assert seen.faults == []


def test_a_study_and_its_tabs(url: str, visit: Callable[..., Visit]) -> None:
    """From Optuna's own list through all tabs of a study, to a trial and to the report."""
    seen = visit(url + "dashboard")
    page = seen.page
    page.get_by_text("vivid").click()
    expect(page.get_by_role("heading", name="Hyperparameter Importance")).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    seen.picture("history")
    address = page.url
    tabs = page.locator(".MuiDrawer-root a[href*='/studies/']")
    assert tabs.count() >= 5
    for number in range(tabs.count()):
        tabs.nth(number).click()
        expect(page.locator("#sweep")).to_be_visible()
        seen.picture(f"tab{number}")
    page.goto(f"{address}/trials?numbers=0")
    expect(page.get_by_text("RuntimeError: no luck with lr")).to_be_visible()
    seen.picture("trial")
    page.locator("#sweep").get_by_role("link", name="report").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("vivid")
    assert seen.faults == []


def test_writing_is_refused_and_breaks_nothing(url: str, visit: Callable[..., Visit]) -> None:
    """Who deletes a study, or writes a note, is told that it failed; the page goes on."""
    seen = visit(url + "dashboard")
    page = seen.page
    page.get_by_role("button", name="delete study").first.click()
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_role("alert")).to_contain_text("Failed to delete study")
    seen.picture("refused")
    page.reload()
    expect(page.get_by_text("vivid")).to_be_visible()
    assert [fault for fault in seen.faults if REFUSED not in fault] == []
    assert seen.faults != []


def test_a_new_trial_appears(played: Project, url: str, visit: Callable[..., Visit]) -> None:
    """While the page is open another process makes it; nobody loads the page again."""
    seen = visit(url + "dashboard/studies/1/trials")
    page = seen.page
    expect(page.get_by_text("12 Trials")).to_be_visible()
    spec = played.spec("front", **(FRONT | {"trials": 13}))
    done = played.run("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    expect(page.get_by_text("13 Trials")).to_be_visible(timeout=30_000)
    seen.picture("appeared")
    assert seen.faults == []
