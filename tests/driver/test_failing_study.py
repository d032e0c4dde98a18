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
        "s", program="failing:in_quarters", method=method, parameters=parameters, trials=24
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
