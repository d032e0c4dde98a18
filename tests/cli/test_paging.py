"""`sweep show` of long studies and trials: a page at a time."""

from __future__ import annotations

import pytest
from conftest import Project

from sweep.cli import page
from sweep.cli.page import page_of
from sweep.errors import UsageError

PROGRAM = """
def train(trial):
    for _ in range(7):
        trial.report(loss=trial.params.x)
"""


def test_pages_cover_all_rows_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order; the last is shown where none is named, and one that is not there refused."""
    monkeypatch.setattr(page, "ROWS", 3)
    rows = list(range(8))
    pages = [page_of(rows, number, "trials") for number in (1, 2, 3)]
    assert [each for found, _ in pages for each in found] == rows
    assert page_of(rows, None, "trials") == pages[-1]
    assert pages[1][1] is not None
    assert pages[1][1].startswith("page 2 of 3: trials 4 to 6 of 8")
    with pytest.raises(UsageError, match="--page 4: there are 8 trials, on pages 1 to 3"):
        page_of(rows, 4, "trials")
    assert page_of([1, 2], None, "trials") == ([1, 2], None)
    assert page_of([], None, "trials") == ([], None)


def test_show_prints_a_page(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the trials of a study, and of the reports of a trial; JSON has all."""
    (project.root / "own.py").write_text(PROGRAM)
    spec = project.spec("s", program="own:train", trials=5)
    assert project.call("run", "--inline", spec).returncode == 0
    whole = project.call("show", "s").stdout
    assert "page 1" not in whole
    monkeypatch.setattr(page, "ROWS", 3)
    last, first = project.call("show", "s").stdout, project.call("show", "s", "--page", "1").stdout
    assert "page 2 of 2: trials 4 to 5 of 5" in last
    assert "page 1 of 2: trials 1 to 3 of 5" in first
    assert (first.count("\n"), last.count("\n")) == (
        len(whole.splitlines()) - 1,
        len(whole.splitlines()) - 2,
    )
    assert "page 3 of 3: reports 7 to 7 of 7" in project.call("show", "s/0").stdout
    assert project.call("show", "s/0", "--page", "9").returncode == 2
    assert project.call("show", "s", "--json").stdout.count('"attempts"') == 5 + 1
