"""A kill after any commit of a study that changes, repeats itself and learns from another one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from conftest import Project
from test_every_event import recorder, tables

from sweep.cli import run as command
from sweep.cli.output import Output
from sweep.driver import prepare


def run(spec: Path, store: Path) -> int:
    options = command.Options(
        store=store, inline=True, address=None, grace=10.0, accept_changes=True
    )
    return command.run([spec], [], options, Output(True))


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
    copies = project.root / "copies"
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "Journal", recorder(project.store / "s", copies))
        code = run(spec, project.store)
    whole = tables(project.store / "s")
    assert len(whole["trials"]) == 6
    prefixes = sorted(copies.iterdir())
    assert len(prefixes) > 10
    for prefix in prefixes:
        assert run(spec, prefix) == code, prefix.name
        for name, table in tables(prefix / "s").items():
            pd.testing.assert_frame_equal(table, whole[name], obj=f"{name} after {prefix.name}")
        assert project.call("replay", "s", "--store", prefix).returncode == 0, prefix.name
    capsys.readouterr()
