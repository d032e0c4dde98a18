"""The report of real studies in a browser: whole, quiet, and everything on it can be used."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import Visit
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [1280, 800])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_whole(
    report: str, visit: Callable[..., Visit], theme: str, width: int
) -> None:
    """In both themes and widths: no fault, no request elsewhere, nothing beyond its edge."""
    seen = visit(report, theme=theme, width=width)
    page = seen.page
    expect(page.locator("article")).to_have_count(2)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if theme == "light" else "rgb(20, 23, 27)")
    for section in page.locator("section").all():
        assert section.evaluate("each => each.scrollWidth - each.clientWidth") <= 0
    assert seen.overflow == 0
    seen.picture("report", whole=True)
    assert seen.faults == []


def test_all_on_it_can_be_used(report: str, visit: Callable[..., Visit]) -> None:
    """Links lead to their sections, the theme turns, tables sort, tips show, failures open."""
    seen = visit(report)
    page = seen.page
    for link in page.locator("nav a").all():
        link.click()
        name = (link.get_attribute("href") or "")[1:]
        expect(page.locator(f"[id='{name}']")).to_be_in_viewport()
    theme = page.get_by_role("button", name="Dark theme")
    theme.click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    page.get_by_role("button", name="Light theme").click()
    for head in page.locator("th button").all():
        head.click()
        column = head.locator("xpath=..")
        assert column.get_attribute("aria-sort") == "ascending"
        head.click()
        assert column.get_attribute("aria-sort") == "descending"
    circle = page.locator("circle[data-tip]").first
    circle.hover()
    expect(page.locator("#tip")).to_contain_text("trial")
    seen.picture("tip")
    for details in page.locator("details").all():
        details.locator("summary").click()
        expect(details.locator("pre").first).to_be_visible()
    expect(page.locator("#failures pre").first).to_contain_text("RuntimeError: no luck with lr")
    seen.picture("used", whole=True)
    assert seen.faults == []


def test_what_happened_is_on_it(report: str, visit: Callable[..., Visit]) -> None:
    """The kill and the resume, the pruned and the failed, and the front of the other study."""
    page = visit(report).page
    summary = page.locator("#summary")
    expect(summary).to_contain_text("1 failed")
    expect(summary).to_contain_text("pruned")
    expect(summary).to_contain_text("2 sessions")
    expect(page.locator("#timeline figcaption").first).to_contain_text("1 killed")
    expect(page.locator("[id='2-summary']")).to_contain_text("Pareto front")
