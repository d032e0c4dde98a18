"""`sweep report`: where the page is written, and what is said of it."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest
from conftest import Project


@pytest.fixture
def made(project: Project) -> Project:
    """A project with a complete study, and one whose trials fail."""
    for name, program in (("good", "odd:returns_loss"), ("bad", "odd:raises")):
        done = project.run("run", "--inline", project.spec(name, program=program, retries=0))
        assert done.returncode == (name == "bad"), done.stderr
    return project


def test_report_is_written_and_named(made: Project) -> None:
    """In the study; over an older one, since it is derived; the study is whole after it."""
    path = made.store / "good" / "report.html"
    done = made.call("report", "good")
    assert done.returncode == 0, done.stderr
    assert f"wrote {path}: a report on good" in done.stdout
    path.write_text("older")
    said = json.loads(made.call("report", "good", "--json").stdout)
    assert said == {"report": str(path), "studies": ["good"], "bytes": path.stat().st_size}
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert made.call("verify", "good").returncode == 0


def test_failures_have_their_tracebacks(made: Project) -> None:
    """As `sweep show` has them."""
    assert made.call("report", "bad", "--to", "sub/page.html").returncode == 0
    text = (made.root / "sub" / "page.html").read_text()
    assert "RuntimeError: no luck with" in text
    assert "No trial has a result yet." in text


def test_several_studies_have_one_page(made: Project) -> None:
    """In the store, which still lists its studies."""
    done = made.call("report", "good", "bad", "--json")
    said = json.loads(done.stdout)
    assert said["studies"] == ["good", "bad"]
    assert Path(said["report"]) == made.store / "report.html"
    assert made.call("ls").returncode == 0


def test_report_can_be_looked_at(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--open` hands the file to the browser."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert made.call("report", "good", "--open").returncode == 0
    assert opened == [(made.store / "good" / "report.html").as_uri()]


def test_wrong_places_are_named(made: Project) -> None:
    """No such study; a directory; a place where nothing can be written."""
    assert "no study 'none'" in made.call("report", "none").stderr
    directory = made.call("report", "good", "--to", ".")
    assert directory.returncode == 2
    assert "is a directory" in directory.stderr
    other = made.call("report", "good", "--to", "good.pdf")
    assert other.returncode == 2
    assert "good.pdf: a report is HTML; give a --to that ends in .html" in other.stderr
    assert not (made.root / "good.pdf").exists()
    below = made.call("report", "good", "--to", "good.yaml/x.html")
    assert below.returncode == 2
    assert "cannot be written" in below.stderr
