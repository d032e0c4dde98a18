"""The pages, from a real server: nothing is written, and what goes on is shown."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from conftest import Project

import sweep
from sweep.dashboard.guard import Guard
from sweep.dashboard.server import Server, address
from sweep.dashboard.site import site
from sweep.errors import JournalVersionError
from sweep.journal.event import StudyCreated
from sweep.journal.segment import read_entries, write_segment
from sweep.search import optuna_copy

Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def made(project: Project) -> Project:
    """A project with a complete study and one whose trials fail."""
    for name, program in (("good", "odd:returns_loss"), ("bad", "odd:raises")):
        done = project.call("run", "--inline", project.spec(name, program=program, retries=0))
        assert done.returncode == (name == "bad"), done.stderr
    return project


@pytest.fixture
def app(made: Project, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application over its store, which it looks at for every question."""
    monkeypatch.setattr(optuna_copy, "LOOK_S", 0.0)
    return site(made.store, said.append)


said: list[str] = []


@pytest.fixture
def ask(app: Any) -> Iterator[Ask]:
    """Asks a server of it: the status and the body."""
    said.clear()
    server = Server("127.0.0.1", 0)
    server.set_app(Guard(app, "127.0.0.1", server.port, None))

    def asked(path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, str]:
        where = address("127.0.0.1", server.port) + path.lstrip("/")
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(where, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    with server.serving():
        yield asked


def digest(root: Path) -> str:
    """Of all names and bytes below a directory, and of when they were written."""
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        found.update(f"{path} {path.stat().st_mtime_ns} {path.stat().st_mode}".encode())
        if path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()


BODY = json.dumps(
    {
        "study_name": "new",
        "directions": ["minimize"],
        "version": 1,
        "body": "note",
        "state": "Complete",
        "values": [0.0],
        "user_attrs": {"a": 1},
        "mode": "ChooseWorst",
        "candidates": [0],
        "clicked": 0,
        "output_type": "note",
        "file": "data:text/plain;base64,YQ==",
    }
).encode()


def test_no_route_writes(made: Project, app: Any, ask: Ask) -> None:
    """Whatever the dashboard has besides reading, in this version or a later one, is refused."""
    before, studies = digest(made.store), ask("/api/studies")
    routes = [route for route in app.routes if route.method not in ("GET", "HEAD")]
    assert len(routes) > 10
    for route in routes:
        path = re.sub(r"<[^>]*int[^>]*>", "1", route.rule)
        path = re.sub(r"<[^>]*>", "1", path)
        status, body = ask(path, route.method, BODY)
        assert status == 403, route
        assert "read-only" in json.loads(body)["reason"]
    assert ask("/api/studies") == studies
    assert digest(made.store) == before


def test_reading_leaves_nothing_behind(made: Project, app: Any, ask: Ask) -> None:
    """Neither do the pages, of which none fails."""
    before = digest(made.store)
    for path in (
        "/",
        "/dashboard",
        "/dashboard/studies/1/trials",
        "/api/meta",
        "/api/studies",
        "/api/studies/2",
        "/api/studies/2/param_importances",
        "/api/studies/2/plot/slice",
        "/csv/2",
        "/report/good",
        "/report/bad",
        "/sweep/report/1",
        "/sweep/link.js",
    ):
        assert ask(path)[0] == 200, path
    assert digest(made.store) == before


def test_the_studies_are_listed_with_their_links(ask: Ask) -> None:
    """The dashboard of each, and its report."""
    page = ask("/")[1]
    for study_id, name in ((1, "bad"), (2, "good")):
        assert f'<a href="/dashboard/studies/{study_id}">dashboard</a>' in page
        assert f'<a href="/report/{name}">report</a>' in page


def test_any_name_has_its_report(made: Project, ask: Ask) -> None:
    """As the list links to it."""
    shutil.copytree(made.store / "good", made.store / "a & grün 100%?")
    (link,) = re.findall('<a href="(/report/a[^"]*)">', ask("/")[1])
    status, page = ask(link)
    assert status == 200
    assert "3 of 3" in page


def test_the_dashboard_has_links_to_ours(ask: Ask) -> None:
    """In its page, however often it was loaded without them."""
    status, page = ask("/dashboard/studies/1")
    assert status == 200
    assert "Optuna Dashboard" in page
    assert '<script defer src="/sweep/link.js"></script>' in page
    assert ask("/sweep/report/2")[1] == ask("/report/good")[1]


def test_a_report_is_made_again_when_its_study_goes_on(
    made: Project, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And else once."""
    first = ask("/report/good")[1]
    assert "3 of 3" in first
    assert 'href="/">All studies</a>' in first
    from sweep.report.subject import Subject

    with monkeypatch.context() as patch:
        patch.setattr(Subject, "read", None)
        assert ask("/report/good")[1] == first
    spec = made.spec("good", program="odd:returns_loss", trials=5)
    assert made.call("run", "--inline", spec).returncode == 0
    assert "5 of 5" in ask("/report/good")[1]


def test_a_study_that_was_begun_anew_has_its_own_report(made: Project, ask: Ask) -> None:
    """Though it has come as far as the one before it, by the number of its events."""
    for trials in ("first", "second"):
        shutil.rmtree(made.store / "good")
        spec = made.spec("good", program="odd:returns_loss", description=f"the {trials} one")
        assert made.call("run", "--inline", spec).returncode == 0
        assert f"the {trials} one" in ask("/report/good")[1]


def test_a_name_that_is_no_text_hides_nothing(made: Project, ask: Ask) -> None:
    """A directory may be called by any bytes: the list is there, and the study's dashboard."""
    shutil.copytree(made.store / "good", os.fsdecode(os.fsencode(made.store) + b"/b\xff"))
    status, page = ask("/")
    assert status == 200
    assert '<a href="/report/good">report</a>' in page
    assert '<a href="/dashboard/studies/2">dashboard</a>' in page
    assert ask("/report/b%FF")[0] == 404


def test_a_metric_that_is_no_text_is_escaped(made: Project, ask: Ask) -> None:
    """Half of a surrogate pair: no CSV can hold it."""
    program = 'def train(trial):\n    trial.report(**{"loss": 1.0, "half \\ud800": 2.0})\n'
    (made.root / "half.py").write_text(program)
    assert made.call("run", "--inline", made.spec("half", program="half:train")).returncode == 0
    status, body = ask("/csv/3")
    assert status == 200
    assert "half \\ud800" in body


def test_a_spec_of_another_version_hides_nothing(made: Project, ask: Ask) -> None:
    """The study is said to be damaged, and why; the others are there."""
    journal = made.store / "bad" / "journal"
    first, *rest = read_entries(journal)
    assert isinstance(first.event, StudyCreated)
    event = replace(first.event, spec=first.event.spec | {"hue": 1})
    shutil.rmtree(made.store / "bad")
    journal.mkdir(parents=True)
    write_segment(journal, [replace(first, event=event), *rest], 0)
    why = "bad: its spec is of another version of sweep: hue: "
    status, page = ask("/")
    assert status == 200
    assert why in page
    assert why in ask("/report/bad")[1]
    assert ask("/report/good")[0] == 200
    for command in ("ls", "top --once"):
        done = made.call(*command.split())
        assert (done.returncode, done.stderr) == (0, "")
        assert "damaged" in done.stdout
    for command in ("show bad", "best bad", "report bad", "top --once bad", "resume bad"):
        done = made.call(*command.split())
        assert (done.stdout + done.stderr).count(why[:20]) == 1
        assert done.returncode in (0, 3)
    with pytest.raises(JournalVersionError, match=why):
        _ = sweep.open_study(made.store / "bad").trials


def test_studies_appear_as_they_are_made(made: Project, ask: Ask) -> None:
    """Studies, too, while the server runs."""
    assert len(json.loads(ask("/api/studies/2?after=0")[1])["trials"]) == 3
    spec = made.spec("next", program="odd:returns_loss", trials=2)
    assert made.call("run", "--inline", spec).returncode == 0
    listed = json.loads(ask("/api/studies")[1])["study_summaries"]
    assert {each["study_name"]: each["study_id"] for each in listed} == {
        "bad": 1,
        "good": 2,
        "next": 3,
    }
    assert len(json.loads(ask("/api/studies/3?after=0")[1])["trials"]) == 2


def test_damage_is_said_and_hides_nothing_else(made: Project, ask: Ask) -> None:
    """On the list, in the place of the report, and once in the log; the others are whole."""
    (segment,) = (made.store / "bad" / "journal").iterdir()
    segment.write_bytes(segment.read_bytes()[:-9])
    status, page = ask("/")
    assert status == 200
    assert "damaged" in page
    assert str(segment) in page
    assert ask("/report/good")[0] == 200
    status, body = ask("/report/bad")
    assert status == 500
    assert str(segment) in body
    assert body.count("\n") == 1
    assert len(json.loads(ask("/api/studies")[1])["study_summaries"]) == 1
    assert [str(segment) in line for line in said] == [True]


def test_what_is_not_there_is_not_found(made: Project, ask: Ask) -> None:
    """A study that is none; a way out of the store; an id that nothing has."""
    (made.root / "runs2").mkdir()
    for path in ("/report/none", "/report/..", "/report/%2e%2e%2fruns2", "/sweep/report/9", "/x"):
        assert ask(path)[0] == 404, path
    assert ask("/api/studies/9")[0] == 404
