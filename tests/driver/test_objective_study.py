"""Studies with several objectives and constraints: run, shown, killed and resumed."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from test_every_event import goes_on_from_every_prefix
from test_kill import execution_log, finished, last_event, reach, state_of

import sweep
from sweep.errors import UsageError

TWO = [{"name": "loss"}, {"name": "size"}]
SPACE = {"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}}


def front_spec(project: Project, **content: Any) -> Path:
    base: dict[str, Any] = {
        "program": "front:train",
        "method": {"name": "nsga2", "population_size": 3},
        "metric": TWO,
        "parameters": SPACE,
        "trials": 8,
        "seed": 2,
    }
    return project.spec("study", **(base | content))


def dominated(values: list[float], others: list[list[float]]) -> bool:
    return any(
        other != values and all(a <= b for a, b in zip(other, values, strict=True))
        for other in others
    )


def test_front_is_shown_everywhere(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trials that no other beats, and that keep the bound, are those that all views give."""
    spec = front_spec(project, constraints=["latency_ms <= 20"], checkpoint={"on": "improvement"})
    ran = project.call("run", "--inline", spec)
    assert ran.returncode == 0, ran.stderr
    study = sweep.open_study(project.store / "study")
    trials = study.trials
    assert list(trials["feasible"]) == list(trials["metrics.latency_ms"] <= 20)
    assert list(trials["values_1"]) == list(trials["metrics.size"])
    kept = trials[trials["feasible"]]
    assert 0 < len(kept) < 8
    points = kept[["values_0", "values_1"]].to_numpy().tolist()
    numbers = [
        number
        for number, point in zip(kept["number"], points, strict=True)
        if not dominated(point, points)
    ]
    assert sorted(study.pareto["number"]) == numbers
    assert study.iterations["front"].iloc[-1] == len(numbers)
    assert study.iterations["best_trial"].isna().all()
    with pytest.raises(UsageError, match=r"with 2 objectives .*: use study\.pareto"):
        study.best  # noqa: B018
    said = f"{len(numbers)} trial{'s' if len(numbers) > 1 else ''} on the Pareto front"
    assert ran.stdout.splitlines()[-1].endswith(said)
    best = json.loads(project.call("best", "study", "--json").stdout)
    assert sorted(each["trial"] for each in best) == numbers
    assert [each["values"][0] for each in best] == sorted(each["values"][0] for each in best)
    assert project.call("best", "study").stdout.split()[:3] == ["trial", "loss", "size"]
    shown = project.call("show", "study").stdout
    assert shown.count("on the front") == len(numbers)
    assert shown.count("latency_ms <= 20 missed by") == 8 - len(kept)
    assert f"front     {said}" in shown
    listed = project.call("ls").stdout
    assert "loss, size" in listed
    assert f"{len(numbers)} on the front" in listed
    assert json.loads(project.call("ls", "--json").stdout)[0]["front"] == numbers
    assert project.call("replay", "study").returncode == 0
    first = study.load_checkpoint(trial=numbers[0], which="best")
    assert first.id.startswith(f"{numbers[0]}@")


def test_constraint_decides_who_is_best(project: Project) -> None:
    """With one objective the best is the best that keeps the bound; none may keep it."""
    bound = {"metric": {"name": "loss"}, "method": "random"}
    spec = front_spec(project, constraints=["x <= 0.4"], **bound)
    assert project.call("run", "--inline", spec).returncode == 0
    study = sweep.open_study(project.store / "study")
    kept = study.trials[study.trials["params.x"] <= 0.4]
    assert study.best is not None
    assert study.best["number"] == kept["value"].idxmin() != study.trials["value"].idxmin()
    assert list(study.pareto["number"]) == [study.best["number"]]
    best = json.loads(project.call("best", "study", "--json").stdout)
    assert best[0]["trial"] == study.best["number"]
    assert len(best) == min(5, len(kept))
    changed = project.call("run", "--inline", front_spec(project, constraints=["x <= 2"], **bound))
    assert changed.returncode == 2
    assert "constraints: ['x <= 0.4'] -> ['x <= 2']" in changed.stderr
    none = front_spec(project, name="none", constraints=["x >= 7"], **bound)
    assert project.call("run", "--inline", none).returncode == 0
    assert "no trial keeps the constraints: " in project.call("best", "none").stdout
    assert sweep.open_study(project.store / "none").best is None


def test_incumbents_are_the_front(project: Project) -> None:
    """keep.incumbents keeps the checkpoints of all trials on the front, and of no other."""
    spec = front_spec(project, checkpoint={"keep": {"incumbents": 1}})
    assert project.call("run", "--inline", spec).returncode == 0
    study = sweep.open_study(project.store / "study")
    kept = study.checkpoints[study.checkpoints["retired"].isna()]
    assert sorted(set(kept["trial"])) == sorted(study.pareto["number"])
    assert len(study.pareto) > 1


@pytest.mark.parametrize("method", ["nsga2", pytest.param("tpe", marks=pytest.mark.long)])
def test_every_prefix_goes_on_to_the_same_tables(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    method: str,
) -> None:
    """Killed after any commit and run again, a study ends with the same front."""
    options = {"population_size": 2} if method == "nsga2" else {"n_startup_trials": 2}
    spec = front_spec(
        project,
        method={"name": method, **options},
        trials=3,
        constraints=["latency_ms <= 25"],
        checkpoint={"every": {"epochs": 2}, "keep": {"incumbents": 1}},
    )
    goes_on_from_every_prefix(project, monkeypatch, spec, study="study", derived=True)
    capsys.readouterr()


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_kills_of_the_driver_lose_nothing(project: Project) -> None:
    """20 times SIGKILL of the driver: no trial is lost, run again or suggested twice."""
    trials = 40
    spec = front_spec(
        project,
        method={"name": "nsga2", "population_size": 6},
        constraints=["latency_ms <= 25"],
        trials=trials,
        concurrency=2,
    )
    chooser = random.Random(4)
    kills = 0
    while kills < 20:
        before = last_event(project)
        done = finished(state_of(project)) if before >= 0 else set()
        logged = len(execution_log(project))
        process = project.start("run", spec, STEP_S="0.02")
        reach(project, process, before + chooser.randint(1, 20))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        again = {int(words[1]) for words in execution_log(project)[logged:]}
        assert not again & done, "a finished trial was executed again"
    ended = project.run("run", spec)
    assert ended.returncode == 0, ended.stderr
    state = state_of(project)
    assert sorted(state.trials) == list(range(trials))
    assert state.sessions == kills + 1
    study = sweep.open_study(project.store / "study")
    assert set(study.trials["state"]) == {"COMPLETE"}
    assert not study.reports.duplicated(["trial", "step"]).any()
    assert sorted(study.iterations["trial"]) == list(range(trials))
    seeds = Counter(trial.asked.seed for trial in state.trials.values())  # type: ignore[union-attr]
    assert set(seeds.values()) == {1}
    assert len(study.pareto) > 0
    assert project.call("replay", "study").returncode == 0
