"""A study that was set back, or begun anew, is not taken for what it was before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project

import sweep
from sweep.errors import StudyNotFoundError
from sweep.journal.journal import read_state
from sweep.journal.reports import reports_table
from sweep.journal.segment import read_entries, write_segment

PROGRAM = """
import os
import time


def train(trial):
    for epoch in trial.epochs(3):
        trial.report(loss=trial.params.x + epoch)
    if trial.number == 7:
        time.sleep(0.3)  # what was reported becomes durable
        os.kill(os.getpid(), 9)
"""


@pytest.fixture
def spec(project: Project) -> Callable[[int], Path]:
    """A sweep of so many trials; the eighth kills its driver."""
    (project.root / "deadly.py").write_text(PROGRAM)
    return lambda trials: project.spec("s", program="deadly:train", trials=trials)


def test_tables_of_what_was_set_back_are_dropped(
    project: Project, spec: Callable[[int], Path]
) -> None:
    """A journal out of a backup (or cut by a repair) goes on, and its driver is killed before it
    writes tables: what lies there is of events that never were."""
    assert project.call("run", "--inline", spec(5)).returncode == 0
    journal = project.store / "s" / "journal"
    (file,) = journal.iterdir()
    entries = list(read_entries(journal))
    file.unlink()
    write_segment(journal, entries[: len(entries) // 2], 0)
    assert project.run("run", "--inline", spec(8)).returncode == -9
    state = read_state(journal)
    assert state.seq > entries[-1].seq
    read = sweep.open_study(project.store / "s").reports
    assert list(read["time"]) == list(pd.Series(reports_table(state)["time"].to_pylist()))


def test_a_study_stays_as_it_was_opened(project: Project, spec: Callable[[int], Path]) -> None:
    """Where another one took its place that is said, until somebody looks at that one."""
    assert project.call("run", "--inline", spec(3)).returncode == 0
    study = sweep.open_study(project.store / "s")
    before = study.iterations
    shutil.rmtree(project.store / "s")
    with pytest.raises(StudyNotFoundError, match="s: no study"):
        _ = study.reports
    assert project.call("run", "--inline", spec(4)).returncode == 0
    with pytest.raises(StudyNotFoundError, match=r"was begun anew .* refresh\(\)"):
        _ = study.reports
    assert study.iterations is before
    study.refresh()
    assert len(study.trials) == 4
    assert len(study.reports) == 12
