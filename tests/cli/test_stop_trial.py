"""`sweep stop STUDY/TRIAL`: one trial ends where it is, and the study runs on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Project, until
from cutting import cut, events

import sweep
from sweep.journal.event import TrialPaused, TrialReported, TrialStopped
from sweep.journal.journal import read_state
from sweep.journal.maintenance import maintenance
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths

ASHA = {"type": "asha", "reduction_factor": 2, "max_resource": 8}


def paths_of(project: Project) -> StudyPaths:
    return StudyPaths.of(project.store, "s")


def state_of(project: Project) -> StudyState:
    return read_state(paths_of(project).journal)


def replays(project: Project) -> bool:
    return project.call("replay", "s").returncode == 0


def test_a_running_trial(project: Project) -> None:
    """It saves, leaves its slot, and is pruned with its last value; the next trial begins."""
    spec = project.spec("s", program="mended:waits", trials=2, retries=0)
    (project.root / "mended").touch()
    driver = project.start("run", "--inline", spec)
    until(lambda: paths_of(project).begun() and 1 in state_of(project).running)
    until(lambda: state_of(project).trials[1].reports)
    done = project.call("stop", "s/1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"study": "s", "trial": 1, "state": "PRUNED"}
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 0, err
    assert "2 trials (1 complete, 1 pruned)" in out
    trial = state_of(project).trials[1]
    assert (trial.reason, trial.told) == ("stopped by a user", 1)
    assert trial.value == trial.reports[max(trial.reports)].value
    assert trial.kept
    assert "pruned: stopped by a user" in project.call("show", "s/1").stdout
    assert replays(project)
    (project.root / "go").touch()
    again = project.call("retry", "--inline", "s", "1")
    assert again.returncode == 0, again.stderr
    assert f"retries trial 1 from {trial.kept[-1].id}" in again.stdout
    ended = state_of(project).trials[1]
    assert (str(ended.state), ended.told) == ("COMPLETE", 2)
    assert ended.step == trial.step + 1
    assert replays(project)


@pytest.mark.parametrize("method", ["random", {"name": "tpe", "n_startup_trials": 1}, "cmaes"])
def test_a_trial_that_has_reported_nothing(project: Project, method: Any) -> None:
    """Stopped in a study that nobody runs, it is pruned without a value, and the study runs on."""
    space = {name: {"min": 0.0, "max": 1.0} for name in "xy"}
    spec = project.spec("s", method=method, parameters=space, program="mended:train", trials=3)
    (project.root / "mended").touch()
    assert project.call("run", "--inline", spec).returncode == 0
    cut_before_first_report(project, 1)
    assert not state_of(project).trials[1].reports
    done = project.call("stop", "s/1")
    assert (done.returncode, done.stdout) == (0, "s: trial 1 is pruned: stopped by a user\n")
    assert state_of(project).trials[1].value is None
    assert project.call("run", "--inline", spec).returncode == 0
    states = [str(trial.state) for trial in state_of(project).trials.values()]
    assert states == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert replays(project)


def cut_before_first_report(project: Project, number: int) -> None:
    """Make a study's journal end before a trial's first report, as a kill then would have."""
    reports = events(paths_of(project), TrialReported)
    cut(
        paths_of(project),
        next(e.seq - 1 for e in reports if getattr(e.event, "trial", 0) == number),
    )


@pytest.mark.parametrize("ordered", [False, True])
def test_a_paused_trial(project: Project, ordered: bool) -> None:
    """A trial that waits at a rung is pruned at once, and never promoted."""
    spec = project.spec(
        "s",
        program="mended:train",
        trials=4,
        early_terminate=ASHA,
        deterministic=ordered,
        parameters={"x": {"min": 0.0, "max": 1.0}},
    )
    (project.root / "mended").touch()
    assert project.call("run", "--inline", spec).returncode == 0
    first = events(paths_of(project), TrialPaused)[0]
    assert isinstance(first.event, TrialPaused)
    cut(paths_of(project), first.seq)
    number = first.event.trial
    assert project.call("stop", f"s/{number}").returncode == 0
    trial = state_of(project).trials[number]
    assert (str(trial.state), trial.reason) == ("PRUNED", "stopped by a user")
    assert trial.value == first.event.value
    assert project.call("run", "--inline", spec).returncode == 0
    assert len(state_of(project).trials) == 4
    assert replays(project)


def test_a_trial_that_comes_to_no_safe_point(project: Project) -> None:
    """It is taken off its slot after the grace, and the study runs on."""
    spec = project.spec("s", program="mended:stuck_first", trials=2, concurrency=1)
    driver = project.start("run", spec, "--grace", "0.3")
    until(lambda: (project.root / "executed-0").exists() and 0 in state_of(project).trials)
    done = project.call("stop", "s/0")
    assert done.returncode == 0, done.stderr
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 0, err
    assert "2 trials (1 complete, 1 pruned)" in out
    assert replays(project)


def test_what_cannot_be_stopped(project: Project) -> None:
    """A trial that is over, or is none, is refused by name; the journal stays as it is."""
    spec = project.spec("s", trials=1)
    project.call("run", "--inline", spec)
    before = state_of(project).seq
    over, none = project.call("stop", "s/0"), project.call("stop", "s/5")
    assert (over.returncode, none.returncode) == (2, 3)
    assert "s: trial 0 is complete already" in over.stderr
    assert "s: has no trial 5; it has 1 trial" in none.stderr
    assert state_of(project).seq == before


def test_a_kill_before_the_trial_left(project: Project) -> None:
    """Where its driver is killed while the trial saves, a resume ends it before anything runs."""
    spec = project.spec("s", program="mended:train", trials=2, checkpoint={"every": {"epochs": 1}})
    (project.root / "mended").touch()
    project.call("run", "--inline", spec)
    cut_before_first_report(project, 1)
    paths = paths_of(project)
    with maintenance(paths, "test") as held:
        held.record(TrialStopped(trial=1))
    (project.root / "executed-1").unlink()
    assert project.call("resume", "--inline", "s").returncode == 0
    assert sweep.open_study(paths.root).trials["state"].tolist() == ["COMPLETE", "PRUNED"]
    assert not (project.root / "executed-1").exists()
    assert replays(project)
