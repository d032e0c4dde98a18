"""`sweep fork` and trials that fork themselves: as users meet them, and killed anywhere."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from conftest import Project, until
from fork_study import GRID, PARAMETERS, files, finished, spec_of, state_of, unreferenced

import sweep
from sweep.errors import (
    StudyLockedError,
    SweepError,
    UsageError,
)
from sweep.journal.event import CheckpointRetired, DriverStarted
from sweep.journal.journal import Journal
from sweep.journal.table import read_written
from sweep.paths import StudyPaths


def test_fork_of_a_complete_study(complete: Project) -> None:
    """The study is no longer complete; a resume runs the fork alone, with its own rate."""
    before = sweep.open_study(complete.store / "s").trials
    made = json.loads(finished(complete, "fork", "s/1@3", "--set", "lr=0.002", "--json"))
    assert (made["trial"], made["parent"]) == (3, 1)
    assert made["source"].startswith("1@4.")
    assert finished(complete, "ls").splitlines()[1].split()[:3] == ["s", "queued", "3/4"]
    assert "4 trials (1 queued, 3 complete) of 4" in finished(complete, "show", "s")
    shown = finished(complete, "show", "s/3")
    assert shown.splitlines()[0].split() == ["trial", "s/3", "(queued)"]
    assert f"forked from    {made['source']}" in shown
    resumed = finished(complete, "resume", "--inline")
    assert "s: goes on: 3 of 4 trials are finished, 1 is queued\n" in resumed
    study = sweep.open_study(complete.store / "s")
    assert study.trials.iloc[:3].drop(columns="parent").equals(before.drop(columns="parent"))
    fork = study.trials.iloc[3]
    assert (fork["state"], fork["parent"], fork["attempts"]) == ("COMPLETE", 1, 1)
    assert fork["params.lr"] == 0.002
    assert study.trials["parent"].isna().sum() == 3
    reports = study.reports[study.reports["trial"] == 3]
    assert list(reports["step"]) == [4, 5]
    assert list(reports["metrics.rate"]) == pytest.approx([0.002 / 4, 0.002 / 4])
    kept = study.checkpoints[study.checkpoints["trial"] == 3]
    assert kept.iloc[0]["kind"] == "fork"
    assert kept.iloc[0]["parent"] == made["source"]
    assert len(study.iterations) == 4
    assert "4 results" in finished(complete, "replay", "s")
    assert "complete: " in finished(complete, "run", "--inline", complete.root / "s.yaml")


def test_fork_with_what_tables_hold(complete: Project) -> None:
    """Cells of a table are numbers of NumPy's: as the trial, the step and a value they do."""
    study = sweep.open_study(complete.store / "s")
    assert study.best is not None
    parent, step = study.best["number"], study.reports["step"].iloc[3]
    rate, width = study.trials["params.lr"].min(), study.trials["params.width"].iloc[0]
    assert type(parent).__module__ == type(step).__module__ == type(width).__module__ == "numpy"
    fork = study.fork(parent, at=step, lr=rate, width=width)
    assert dict(study.trials.iloc[fork].filter(like="params.")) == {
        **dict(study.best.filter(like="params.")),
        "params.lr": rate,
        "params.width": width,
    }
    assert study.trials.iloc[fork]["parent"] == parent


def test_fork_with_more_epochs_after_the_end(complete: Project) -> None:
    """A fork of the final checkpoint with more epochs executes just those."""
    study = sweep.open_study(complete.store / "s")
    with pytest.raises(UsageError, match=r"2@6\.0\.final is the end of trial 2"):
        study.fork(2, epochs=9)
    assert study.fork(2, force=True, epochs=9) == 3
    finished(complete, "resume", "s", "--inline")
    study.refresh()
    assert list(study.reports[study.reports["trial"] == 3]["step"]) == [6, 7, 8]


def test_fork_of_the_end_has_nothing_to_do(complete: Project) -> None:
    """The command refuses to fork where the function had returned; forced, the fork fails."""
    refused = complete.run("fork", "s/2", "--set", "lr=0.1")
    assert refused.returncode == 2
    assert "2@5.0" in refused.stderr
    assert "did you mean lr" in complete.run("fork", "s/2", "--set", "lrr=0.1").stderr
    finished(complete, "fork", "s/2", "--set", "lr=0.1", "--force")
    assert complete.run("resume", "s", "--inline").returncode == 1
    reason = state_of(complete).trials[3].reason
    assert "nothing was left to do after 2@6.0.final" in str(reason)


def test_the_end_is_not_recommended_for_itself(project: Project) -> None:
    """Neither the save of the last epoch, which is as far, nor what holds no whole state."""
    keep = {"every": {"epochs": 1}, "final": "full", "keep": {"last": 9, "best": 9}}
    spec = project.spec("s", program="contents:train", trials=1, checkpoint=keep)
    assert project.run("run", "--inline", spec).returncode == 0
    refused = project.call("fork", "s/0")
    assert refused.returncode == 2
    assert refused.stderr.endswith("Fork an earlier one: 0@1.0, 0@2.0\n")


def test_fork_outside_of_the_space(complete: Project, call: Callable[..., str]) -> None:
    """It is refused, taken with --force, and then neither told nor the incumbent."""
    with pytest.raises(UsageError, match="must be one of 6, 9"):
        call("fork", "s/0@3", "--set", "epochs=7")
    with pytest.raises(UsageError, match="did you mean epochs"):
        call("fork", "s/0@3", "--set", "epoch=7")
    assert "outside" in call("fork", "s/0@3", "--set", "epochs=7", "--force")
    call("resume", "s", "--inline")
    study = sweep.open_study(complete.store / "s")
    assert study.trials.iloc[3]["state"] == "COMPLETE"
    assert len(study.iterations) == 3
    call("replay", "s")


@pytest.mark.parametrize("method", ["grid", pytest.param("tpe", marks=pytest.mark.long)])
def test_fork_of_an_interrupted_study(project: Project, method: str) -> None:
    """Forks between suggestions: all that was to be tried is tried, and it replays."""
    parameters = GRID if method == "grid" else PARAMETERS
    spec = spec_of(project, method=method, parameters=parameters, trials=1)
    finished(project, "run", "--inline", spec)
    change = "lr=0.01" if method == "grid" else "lr=0.3"
    finished(project, "fork", "s/0@2", "--set", change)
    finished(project, "run", "--inline", spec, "--set", "trials=3")
    study = sweep.open_study(project.store / "s")
    assert len(study.trials) == 4
    asked = study.trials[study.trials["parent"].isna()]
    assert len(asked) == 3
    if method == "grid":
        assert list(asked["params.lr"]) == [0.1, 0.01, 0.001]
    finished(project, "replay", "s")


def test_fork_of_a_running_study_is_refused(project: Project) -> None:
    """While a driver runs the study, the command and the call name it and change nothing."""
    process = project.start("run", "--inline", spec_of(project, "waits", trials=1))
    until(lambda: (project.root / "waiting").exists())
    done = project.run("fork", "s/0", "--set", "lr=0.1")
    assert done.returncode == 3
    assert str(process.pid) in done.stderr
    with pytest.raises(StudyLockedError):
        sweep.open_study(project.store / "s").fork(0, lr=0.1)
    (project.root / "go").touch()
    assert process.wait(timeout=60) == 0
    assert len(state_of(project).trials) == 1


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("s", "STUDY/TRIAL"),
        ("s/9", "has no trial 9"),
        ("s/0@", "STUDY/TRIAL"),
        ("s/0@77", "no checkpoint of trial 0 at step 77"),
        ("s/0@newest", "latest, best, a step"),
        ("none/0", "no study"),
    ],
)
def test_fork_of_nothing_is_named(
    complete: Project, call: Callable[..., str], target: str, says: str
) -> None:
    """A target that there is not is one line, and nothing is written."""
    before = files(complete)
    with pytest.raises(SweepError, match=says) as caught:
        call("fork", target, "--set", "lr=0.1")
    assert "\n" not in str(caught.value)
    assert files(complete) == before


SHIM = """
import os, signal, sys
import pandas, torch
from sweep.cli import fork, migrate, run
from sweep.cli.main import main

def shot(real, wanted):
    calls = 0
    def call(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

for at in map(int, sys.argv[1].split(",")):
    child = os.fork()
    if not child:
        guard = shot(lambda: None, at)
        for name in ("fsync", "replace", "rename", "unlink", "mkdir", "link"):
            def call(*arguments, real=getattr(os, name), **options):
                guard()
                return real(*arguments, **options)
            setattr(os, name, call)
        sys.argv = ["sweep", *(word.replace("AT", str(at)) for word in sys.argv[2:])]
        sys.stdout = open(os.devnull, "w")
        main()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(at, status, flush=True)
    if status != -signal.SIGKILL:
        break
"""
"""Runs a command again and again, and kills it before its n-th call that changes the store; ends
when it was not killed. Each run is a process of its own, forked off one that has all imports."""


def kills(project: Project, places: Iterable[int], *arguments: str | Path) -> int:
    """How often the command was killed, until it succeeded or ``places`` were over."""
    done = subprocess.run(
        [sys.executable, "-c", SHIM, ",".join(map(str, places)), *map(str, arguments)],
        cwd=project.root,
        capture_output=True,
        text=True,
        timeout=200,
    )
    codes = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert set(codes) <= {0, -signal.SIGKILL}, done.stderr
    return codes.count(-signal.SIGKILL)


@pytest.mark.parametrize("each", [3, pytest.param(1, marks=pytest.mark.long)])
def test_fork_killed_anywhere(complete: Project, each: int) -> None:
    """Killed before any call that writes, a fork is there whole or not at all; nothing stays."""
    number = kills(complete, range(1, 99, each), "fork", "s/1@3", "--set", "lr=0.1AT")
    assert number > 8 / each
    forks = [trial.fork for trial in state_of(complete).trials.values() if trial.fork is not None]
    assert 1 <= len(forks) < number
    for fork in forks:
        assert (complete.store / "s/checkpoints/manifests" / fork.record["manifest"]).exists()
    finished(complete, "resume", "s", "--inline")
    assert not unreferenced(complete)
    study = sweep.open_study(complete.store / "s")
    assert set(study.trials["state"]) == {"COMPLETE"}
    finished(complete, "replay", "s")


def test_killed_after_its_end(complete: Project) -> None:
    """Where a kill has left files and old tables of a complete study, the next run clears up."""
    paths = StudyPaths.of(complete.store, "s")
    journal = Journal(paths.journal)
    journal.append(DriverStarted(session=2, host="h", pid=1, versions={}))
    kept = journal.state.trials[0].kept[0].id
    journal.append(CheckpointRetired(trial=0, checkpoint=kept, reason="last"))
    journal.close()
    assert unreferenced(complete)
    done = finished(complete, "run", "--inline", complete.root / "s.yaml")
    assert "already complete" in done
    assert not unreferenced(complete)
    written = read_written(paths.tables, "trials")
    assert written is not None
    assert written.newest == state_of(complete).seq


def test_killed_after_its_end_where_nothing_can_be_written(complete: Project) -> None:
    """It is complete all the same; that nothing was cleared up is a warning."""
    paths = StudyPaths.of(complete.store, "s")
    journal = Journal(paths.journal)
    journal.append(DriverStarted(session=2, host="h", pid=1, versions={}))
    journal.close()
    paths.lock.unlink()
    paths.lock.mkdir()  # root may write wherever others may not
    done = complete.call("run", "--inline", complete.root / "s.yaml")
    assert done.returncode == 0
    assert "already complete" in done.stdout
    assert done.stderr.startswith(f"sweep: warning: {paths.lock}: cannot be opened: ")
    assert done.stderr.count("\n") == 1


def test_trial_forks_itself(project: Project) -> None:
    """`trial.fork` adds a trial from there on; what the space does not have is refused."""
    spec = spec_of(project, "forks_itself", parameters=GRID, method="grid")
    done = project.run("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    assert "trial 0: not forked: lr: must be one of" in done.stderr
    study = sweep.open_study(project.store / "s")
    assert len(study.trials) == 4  # of the three of the grid one has a high rate
    fork = study.trials[study.trials["parent"] == 0].iloc[0]
    assert fork["params.lr"] == 0.01
    reports = study.reports[study.reports["trial"] == fork["number"]]
    assert list(reports["step"]) == [3, 4, 5]
    assert list(reports["metrics.rate"]) == pytest.approx([0.005, 0.0025, 0.0025])
    finished(project, "replay", "s")


@pytest.mark.parametrize(
    ("first", "each"), [(45, 45), pytest.param(9, 4, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_trial_that_forks_itself_is_killed(project: Project, first: int, each: int) -> None:
    """Killed anywhere and run again, the fork is made exactly once."""
    spec = spec_of(project, "forks_itself", parameters=GRID, method="grid", trials=1)
    assert kills(project, range(first, 400, each), "run", "--inline", spec) >= 2
    finished(project, "run", "--inline", spec)
    study = sweep.open_study(project.store / "s")
    assert list(study.trials["params.lr"]) == [0.1, 0.01]
    assert list(study.trials["state"]) == ["COMPLETE", "COMPLETE"]
    assert not unreferenced(project)
    finished(project, "replay", "s")
