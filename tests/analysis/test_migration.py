"""`sweep migrate` on a study whose checkpoints are of an old format, killed on its way."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project

from sweep.analysis.migration import migrate_study, outdated
from sweep.driver.repair import repair
from sweep.driver.verification import verify
from sweep.journal.event import CheckpointSaved, TrialAsked
from sweep.journal.journal import read_state
from sweep.journal.maintenance import maintenance
from sweep.paths import StudyPaths

GOLDEN = Path(__file__).parents[1] / "checkpoint" / "golden" / "v1"

KILLED = """
import os, signal, sys
from pathlib import Path
from sweep.analysis.migration import migrate_study
from sweep.paths import StudyPaths
calls, wanted = 0, int(sys.argv[2])
real = os.fsync
def fsync(descriptor):
    global calls
    calls += 1
    if calls == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)
os.fsync = fsync
migrate_study(StudyPaths(Path(sys.argv[1])))
"""


@pytest.fixture
def old(project: Project) -> StudyPaths:
    """A study whose trial 3 has the golden checkpoints of format 1."""
    import json

    done = project.run("run", "--inline", project.spec("s", trials=1))
    assert done.returncode == 0, done.stderr
    paths = StudyPaths.of(project.store, "s")
    shutil.copytree(GOLDEN / "checkpoints", paths.checkpoints, dirs_exist_ok=True)
    records = [entry["record"] for entry in json.loads((GOLDEN / "expected.json").read_text())]
    with maintenance(paths, "test") as held:
        for number in (1, 2, 3):
            held.record(
                TrialAsked(
                    trial=number, params={}, latents={}, seed=0, wrote={}, told=0, running=[]
                )
            )
        for record in records:
            held.record(
                CheckpointSaved(
                    trial=3,
                    attempt=1,
                    step=record["step"],
                    checkpoint=record["id"],
                    record=record,
                )
            )
    return paths


@pytest.mark.parametrize("at", [3, *(pytest.param(at, marks=pytest.mark.long) for at in (1, 7))])
@pytest.mark.parametrize("mend", [migrate_study, repair])
def test_killed_in_the_middle(
    old: StudyPaths, mend: Callable[[StudyPaths], object], at: int
) -> None:
    """Killed at a sync, a migration has lost nothing; it, or a repair, makes the study whole."""
    ids = [known.id for known in read_state(old.journal).trials[3].kept]
    assert all(each.changed for each in outdated(old) if each.checkpoint in ids)
    command = [sys.executable, "-c", KILLED, str(old.root), str(at)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    for step in (mend, migrate_study):
        step(old)
        assert verify(old).whole
        assert [known.id for known in read_state(old.journal).trials[3].kept] == ids
    assert not any(each.changed for each in outdated(old))
