"""A kill after any commit of a study that changes, repeats itself and learns from another one."""

from __future__ import annotations

import pytest
from conftest import Project
from test_every_event import goes_on_from_every_prefix, run


@pytest.mark.long
@pytest.mark.parametrize("method", ["tpe", "grid"])
def test_every_prefix_goes_on_to_the_same_tables(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    method: str,
) -> None:
    """Accepted, imported, enqueued and taken over: each prefix ends as the whole run did."""
    monkeypatch.chdir(project.root)
    shape = {"program": "shapes:epochs", "method": method, "duplicates": "reuse"}
    shape |= {"checkpoint": {"every": {"epochs": 3}}}
    small = {"x": {"values": [0, 1]}}
    run(project.spec("other", **shape, parameters=small, trials=2), project.store)
    spec = project.spec("s", **shape, parameters=small, trials=2)
    run(spec, project.store)
    wide = {"x": {"values": [1, 2]}, "y": {"values": [3, 4], "default": 3}}
    spec = project.spec(
        "s",
        **shape,
        parameters=wide,
        trials=6,
        warm_start=["runs/other"],
        enqueue=[{"x": 2, "y": 4}, {"x": 2, "y": 4}],
    )
    whole = goes_on_from_every_prefix(project, monkeypatch, spec, derived=True)
    assert len(whole["trials"]) == 6
    capsys.readouterr()
