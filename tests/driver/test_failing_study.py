"""Studies in which trials fail: what is told of them, and what is called the best."""

from __future__ import annotations

import json

import pytest
from conftest import Project
from test_kill import state_of

import sweep
from sweep.journal.event import Cause, TrialState


@pytest.mark.parametrize("method", ["random", "tpe", "gp", "cmaes"])
def test_failures_are_failures_everywhere(project: Project, method: str) -> None:
    """Told as the worst, shown as what they are; an infinity is never the best; it replays."""
    parameters = {name: {"min": 0.0, "max": 1.0} for name in "xy"}
    spec = project.spec(
        "s",
        program="failing:in_quarters",
        method=method,
        parameters=parameters,
        trials=24,
        max_failures="none",
    )
    ran = project.call("run", "--inline", spec, "--json")
    assert ran.returncode == 1, ran.stderr
    state = state_of(project, "s")
    causes = {trial.number: trial.cause for trial in state.trials.values()}
    assert {Cause.EXCEPTION, Cause.NAN, None} == set(causes.values())
    for trial in state.trials.values():
        x = trial.params["x"]
        failed = trial.state is TrialState.FAILED
        assert failed == (x > 0.25)
        assert trial.value == (None if failed else x)
        if 0.25 < x <= 0.5:
            assert trial.reason == "loss is -inf, which no result could beat (goal: minimize)"
    assert [each.trial for each in state.iterations] == list(range(24))
    results = [trial.value for trial in state.trials.values() if trial.value is not None]
    assert state.best is not None
    assert state.best.value == min(results)
    study = sweep.open_study(project.store / "s")
    assert study.best.value == min(results)
    assert study.iterations["value"].notna().sum() == len(results)
    (listed,) = json.loads(project.call("ls", "--json").stdout)
    assert listed["best"]["value"] == min(results)
    best = json.loads(project.call("best", "s", "-n", "24", "--json").stdout)
    assert [each["value"] for each in best] == sorted(results)
    replayed = project.call("replay", "s")
    assert replayed.returncode == 0, replayed.stderr


def test_trials_that_fail_alike_halt_the_study(project: Project) -> None:
    """After the third one: once with the traceback, with a code of its own, and resumable."""
    spec = project.spec("s", program="failing:alike", trials=30, retries=0)
    ran = project.call("run", "--inline", spec)
    assert ran.returncode == 5
    state = state_of(project, "s")
    assert state.counts[TrialState.FAILED] == len(state.trials) == 3
    assert state.stopped is not None
    assert state.stopped.reason == "trials fail alike"
    assert ran.stdout.count("Traceback") == 1
    assert "3 trials failed alike, and none has come to a result" in ran.stdout
    assert "sweep retry s" in ran.stdout
    again = project.call("resume", "s", "--inline")
    assert again.returncode == 5
    assert "sweep retry s" in again.stdout
    assert len(state_of(project, "s").trials) == 3
    every = project.call("resume", "--inline")
    assert (every.returncode, "halted: 3 trials failed alike" in every.stdout) == (5, True)
    (listed,) = json.loads(project.call("ls", "--json").stdout)
    assert listed["status"] == "halted"
    assert listed["note"] == "3 trials failed alike, and none has come to a result"
    assert listed["note"] in project.call("ls").stdout
    assert listed["note"] in project.call("show", "s").stdout
    record = json.loads(project.call("resume", "s", "--inline", "--json").stdout.splitlines()[-1])
    assert (record["reason"], record["note"]) == ("trials fail alike", listed["note"])
    raised = project.call("resume", "s", "--inline", "--set", "max_failures=5")
    assert raised.returncode == 5
    assert "5 trials failed, and max_failures is 5" in raised.stdout
    assert len(state_of(project, "s").trials) == 5
    assert project.call("resume", "s", "--inline", "--set", "max_failures=none").returncode == 1
    assert len(state_of(project, "s").trials) == 30
    assert project.call("replay", "s").returncode == 0


def test_a_retry_goes_on_where_the_code_is_mended(project: Project) -> None:
    """The trials that halted a study run again, and the study to its end."""
    spec = project.spec("s", program="failing:unless_mended", trials=6)
    assert project.call("run", "--inline", spec).returncode == 5
    (project.root / "mended").touch()
    assert project.call("retry", "s", "--inline").returncode == 0
    state = state_of(project, "s")
    assert state.counts[TrialState.COMPLETE] == 6
    assert project.call("replay", "s").returncode == 0


def test_a_retry_that_fails_alike_halts_again(project: Project) -> None:
    """What was tried in vain is said again, and no new trial is begun."""
    spec = project.spec("s", program="failing:unless_mended", trials=6, retries=0)
    assert project.call("run", "--inline", spec).returncode == 5
    assert project.call("retry", "s", "--inline").returncode == 5
    assert len(state_of(project, "s").trials) == 3


@pytest.mark.parametrize("function", ["first_ones", "at_many_places"])
def test_a_program_that_works_or_fails_variously_goes_on(project: Project, function: str) -> None:
    """One result shows that the program works; other tracebacks are other faults."""
    spec = project.spec("s", program=f"failing:{function}", trials=8, retries=0)
    assert project.call("run", "--inline", spec).returncode == 1
    assert len(state_of(project, "s").trials) == 8


def test_max_failures_counts_all_that_failed(project: Project) -> None:
    """Also beside results, and of whatever they have failed."""
    spec = project.spec("s", program="failing:in_quarters", trials=40, retries=0, max_failures=4)
    ran = project.call("run", "--inline", spec)
    assert ran.returncode == 5
    state = state_of(project, "s")
    assert state.counts[TrialState.FAILED] == 4
    assert "4 trials failed, and max_failures is 4" in ran.stdout


def test_a_complete_study_is_complete(project: Project) -> None:
    """Where nothing is left to run, nothing is halted."""
    spec = project.spec("s", program="failing:alike", trials=3, retries=0)
    assert project.call("run", "--inline", spec).returncode == 1
    (listed,) = json.loads(project.call("ls", "--json").stdout)
    assert (listed["status"], listed["note"]) == ("complete", None)


def test_a_first_trial_that_reports_nothing_stops_no_study(project: Project) -> None:
    """It has failed; the others go on, and complete the study."""
    spec = project.spec("s", program="failing:silent_at_first", trials=4)
    assert project.call("run", "--inline", spec).returncode == 1
    state = state_of(project, "s")
    assert state.trials[0].cause is Cause.UNREPORTED
    assert state.counts[TrialState.COMPLETE] == 3
    assert project.call("replay", "s").returncode == 0


def test_a_study_of_silent_trials_halts(project: Project) -> None:
    """Trials that all report nothing fail alike."""
    spec = project.spec("s", program="failing:silent", trials=30)
    assert project.call("run", "--inline", spec).returncode == 5
    assert len(state_of(project, "s").trials) == 3


def test_a_misnamed_metric_is_said_at_the_first_report(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with the nearest name that was reported."""
    spec = project.spec("s", program="failing:misnamed", metric={"name": "val_loss"})
    assert project.call("run", "--inline", spec).returncode == 2
    said = [each.getMessage() for each in caplog.records if "has reported" in each.getMessage()]
    assert len(said) == 1
    assert "trial 0 has reported accuracy and val_los, but not val_loss" in said[0]
    assert "did you mean val_los?" in said[0]
    caplog.clear()
    right = project.spec("t", program="failing:silent_at_first", trials=2)
    project.call("run", "--inline", right)
    assert not [each for each in caplog.records if "has reported" in each.getMessage()]
