"""A kill after any commit: each prefix of the journal goes on to the same tables."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Project

import sweep
from sweep.cli import run as command
from sweep.cli.output import Output
from sweep.driver import prepare
from sweep.journal.event import Entry, Event
from sweep.journal.journal import Journal
from sweep.journal.segment import read_entries
from sweep.search.replay import replay

SHAPES = [
    "epochs",
    "preamble",
    "long_preamble",
    "report_between",
    "phases",
    "phase_left",
    "in_epoch",
    "state_only",
    "raises_in_the_middle",
]
SHORT = ["preamble", "phases", "in_epoch", "raises_in_the_middle"]
"""What the normal tests make do with."""


def recorder(study: Path, copies: Path) -> type[Journal]:
    """A journal that leaves a copy of the study's directory after each commit."""

    class Recorder(Journal):
        def append(self, *events: Event) -> list[Entry]:
            entries = super().append(*events)
            if not self._together:
                self._copy()
            return entries

        @contextmanager
        def together(self) -> Iterator[None]:
            nested = self._together
            with super().together():
                yield
            if not nested:
                self._copy()

        def _copy(self) -> None:
            self.flush()
            target = copies / f"{self.state.seq:05d}" / study.name
            if not target.exists():
                shutil.copytree(study, target, copy_function=copied_if_there)

    return Recorder


def copied_if_there(source: str, target: str) -> None:
    """Copy a file that a save may rename, or retention remove, while its directory is copied."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def run(spec: Path, store: Path) -> int:
    options = command.Options(
        store=store, inline=True, address=None, grace=10.0, accept_changes=True
    )
    return command.run([spec], [], options, Output(True))


def tables(study: Path) -> dict[str, pd.DataFrame]:
    """The tables without times and attempts, columns in order of their names."""
    opened = sweep.open_study(study)
    apart = ["time", "started", "finished", "duration_s", "attempts", "attempt"]
    return {
        name: getattr(opened, name).drop(columns=apart, errors="ignore").sort_index(axis=1)
        for name in ("trials", "reports", "iterations")
    }


SPACE = """
program: shapes:epochs
method: {name: tpe, n_startup_trials: 2}
metric: {name: loss}
space: defined:space
trials: 4
"""
MEDIAN = {"type": "median", "startup_trials": 1, "min_trials": 1}
ASHA = {"type": "asha", "reduction_factor": 2, "max_resource": 3}
HYPERBAND = {"type": "hyperband", "reduction_factor": 2, "max_resource": 3}


@pytest.mark.parametrize(
    ("shape", "pruner"),
    [
        *((shape, MEDIAN) for shape in SHORT),
        pytest.param(SHAPES[0], None, marks=pytest.mark.long),
        *(
            pytest.param(shape, pruner, marks=pytest.mark.long)
            for shape in SHAPES
            for pruner in (ASHA, HYPERBAND)
        ),
        *(
            pytest.param(shape, MEDIAN, marks=pytest.mark.long)
            for shape in SHAPES
            if shape not in SHORT
        ),
        *(pytest.param(shape, None, marks=pytest.mark.long) for shape in SHAPES[1:]),
    ],
)
def test_every_prefix_goes_on_to_the_same_tables(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    shape: str,
    pruner: dict[str, Any] | None,
) -> None:
    """Killed after any commit and run again, a study ends with the tables of a whole run."""
    spec = project.spec(
        "s",
        program=f"shapes:{shape}",
        trials=4,
        early_terminate=pruner,
        checkpoint={"every": {"epochs": 1, "steps": 1}},
    )
    derived = pruner in (ASHA, HYPERBAND)
    goes_on_from_every_prefix(project, monkeypatch, spec, derived=derived)
    capsys.readouterr()


@pytest.mark.long
def test_a_space_function_goes_on_from_every_prefix(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So it does where a function suggests the parameters, in view of those before."""
    spec = project.root / "s.yaml"
    spec.write_text(SPACE)
    goes_on_from_every_prefix(project, monkeypatch, spec, derived=True)
    capsys.readouterr()


def goes_on_from_every_prefix(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    spec: Path,
    *,
    study: str = "s",
    derived: bool = False,
) -> dict[str, pd.DataFrame]:
    """The tables of the whole run, with which the run from each prefix ends. ``derived``: each of
    them is replayed, too."""
    monkeypatch.chdir(project.root)
    copies = project.root / "copies"
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "Journal", recorder(project.store / study, copies))
        code = run(spec, project.store)
    whole = tables(project.store / study)
    prefixes = sorted(copies.iterdir())
    assert len(prefixes) > 10
    for prefix in prefixes:
        assert run(spec, prefix) == code, prefix.name
        for name, table in tables(prefix / study).items():
            pd.testing.assert_frame_equal(table, whole[name], obj=f"{name} after {prefix.name}")
        if derived:
            found = replay(read_entries(prefix / study / "journal"), {})
            assert found.passed, found.deviations[:3]
    return whole
