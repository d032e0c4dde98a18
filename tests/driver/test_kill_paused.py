"""Kills of drivers whose trials are paused and promoted: the study ends as if nothing was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Project, until
from test_kill import (
    SHIM,
    assert_little_rework,
    exact_spec,
    execution_log,
    final_states,
    finished,
    last_event,
    reach,
    state_of,
    tables,
)

import sweep
from sweep.journal.event import TrialState

ASHA = {"type": "asha", "reduction_factor": 2, "max_resource": 4}
HYPERBAND = {"type": "hyperband", "reduction_factor": 2, "max_resource": 4}
PRUNERS = pytest.mark.parametrize("pruner", [ASHA, HYPERBAND], ids=["asha", "hyperband"])

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@pytest.mark.ray
@PRUNERS
def test_kills_of_the_driver_lose_nothing(project: Project, pruner: dict[str, Any]) -> None:
    """20 SIGKILLs at random instants: N trials, no finished one executed again, replay passes."""
    every = {"every": {"steps": 4}, "keep": {"last": 1, "best": 1}}
    spec = exact_spec(
        project, "study", concurrency=2, trials=40, checkpoint=every, early_terminate=pruner
    )
    chooser = random.Random(4)
    for _ in range(20):
        before = last_event(project)
        done = finished(state_of(project)) if before >= 0 else set()
        logged = len(execution_log(project))
        process = project.start("run", spec, STEP_S="0.05")
        reach(project, process, before + chooser.randint(1, 25))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        again = {int(words[1]) for words in execution_log(project)[logged:]}
        assert not again & done, "a finished trial was executed again"
    last = project.run("run", spec)
    assert last.returncode == 0, last.stderr
    study = sweep.open_study(project.store / "study")
    assert list(study.trials["number"]) == list(range(40))
    assert set(study.trials["state"]) == {"COMPLETE", "PRUNED"}
    assert not study.reports.duplicated(["trial", "step"]).any()
    assert_little_rework(study, execution_log(project))
    replayed = project.call("replay", "study")
    assert replayed.returncode == 0, replayed.stderr


def broken_run(project: Project, spec: Path, chooser: random.Random) -> bool:
    """A run that is killed at a sync, or between two; whether it was."""
    process = subprocess.Popen(
        [sys.executable, "-c", SHIM, "run", "--inline", str(spec)],
        cwd=project.root,
        env=os.environ | {"KILL_AT": str(chooser.randint(9, 90))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    project.processes.append(process)
    if chooser.random() < 0.3:
        lines = len(execution_log(project)) + 13
        until(lambda: len(execution_log(project)) > lines or process.poll() is not None, within=300)
        process.kill()
    process.communicate(timeout=300)
    return process.returncode == -signal.SIGKILL


@PRUNERS
def test_one_slot_ends_with_the_same_bits(
    project: Project, tmp_path_factory: pytest.TempPathFactory, pruner: dict[str, Any]
) -> None:
    """With one slot, 20 kills leave the tables and the final weights of an unbroken run."""
    chooser, content = random.Random(8), {"early_terminate": pruner, "trials": 24}
    spec = exact_spec(project, "study", **content)
    kills = sum(broken_run(project, spec, chooser) for _ in range(20))
    assert kills >= 10
    assert project.run("run", "--inline", spec).returncode == 0
    whole = Project(tmp_path_factory.mktemp("whole"))
    (whole.root / "exact.py").write_text((project.root / "exact.py").read_text())
    assert whole.run("run", "--inline", exact_spec(whole, "study", **content)).returncode == 0
    broken = tables(project)
    for name, frame in tables(whole).items():
        pd.testing.assert_frame_equal(frame, broken[name], obj=name, check_exact=True)
    assert final_states(whole) == final_states(project)
    counts = state_of(project).counts
    assert counts[TrialState.COMPLETE] > 2
    assert counts[TrialState.PRUNED] > 2
    for each in (project, whole):
        replayed = each.run("replay", "study")
        assert replayed.returncode == 0, replayed.stderr
