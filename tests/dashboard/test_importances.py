"""The dashboard and the report say the same of what matters."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from conftest import Project

from sweep.dashboard.guard import Guard
from sweep.dashboard.server import Server, address
from sweep.dashboard.site import site
from sweep.paths import StudyPaths
from sweep.report.subject import Subject
from sweep.search import optuna_copy

PARAMETERS = {"x": {"min": 0.0, "max": 1.0}, "y": {"values": [1, 2, 3]}, "z": {"value": 4}}


def answers(app: Any, study_id: int) -> list[dict[str, float]]:
    """What a browser is told of each objective."""
    server = Server("127.0.0.1", 0)
    server.set_app(Guard(app, "127.0.0.1", server.port, None))
    with server.serving():
        where = address("127.0.0.1", server.port) + f"api/studies/{study_id}/param_importances"
        with urllib.request.urlopen(where, timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("application/json")
            told = json.loads(answer.read())["param_importances"]
    assert all(bar["distribution"] for bars in told for bar in bars)
    return [{bar["name"]: bar["importance"] for bar in bars} for bars in told]


@pytest.mark.parametrize("several", [False, True])
def test_the_same_numbers(project: Project, monkeypatch: pytest.MonkeyPatch, several: bool) -> None:
    """Of each objective the shares of the report, from as many trials, as a study grows."""
    monkeypatch.setattr(optuna_copy, "LOOK_S", 0.0)
    metric = [{"name": "a"}, {"name": "b", "goal": "maximize"}] if several else {"name": "a"}
    base = {"program": "mended:two", "metric": metric, "parameters": PARAMETERS}
    spec = project.spec("s", **base, trials=9)
    assert project.call("run", "--inline", spec).returncode == 0
    app = site(project.store, lambda line: None)
    paths = StudyPaths.of(project.store, "s")
    assert answers(app, 1) == [{}, {}][: 1 + several]
    assert "10 completed trials are needed" in str(Subject.read(paths).importances)
    for trials in (12, 30):
        more = project.call("run", "--inline", spec, "--set", f"trials={trials}")
        assert more.returncode == 0
        known = Subject.read(paths).importances
        assert isinstance(known, dict)
        told = answers(app, 1)
        assert told == list(known.values())[: 1 + several]
        assert [set(each) for each in told] == [{"x", "y"}] * (1 + several)
