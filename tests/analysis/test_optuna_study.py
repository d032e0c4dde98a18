"""A study as one of Optuna's: what Optuna reads in it is what the journal says."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import Project
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

import sweep

PARAMETERS: dict[str, Any] = {
    "lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.5},
    "kind": {"values": ["adam", "sgd"]},
    "momentum": {"min": 0.0, "max": 0.9, "when": {"kind": "sgd"}},
    "depth": {"min": 1, "max": 9, "step": 2},
    "width": {"distribution": "int_log_uniform_values", "min": 4, "max": 64},
    "share": {"distribution": "q_uniform", "min": 0.1, "max": 0.5, "q": 0.1},
    "batch": {"distribution": "q_uniform", "min": 8, "max": 64, "q": 8},
    "noise": {"distribution": "normal", "mu": 1, "sigma": 0.1},
    "scale": {"distribution": "log_normal", "mu": 0, "sigma": 1},
    "mixed": {"distribution": "beta", "a": 2, "b": 2},
    "layers": {"values": [[1, 2], [3]]},
    "flag": {"values": [True, 1, None]},
    "odds": {"values": ["a", "b"], "probabilities": [0.9, 0.1]},
    "same": {"value": 7},
}


@pytest.fixture(scope="module")
def various(tmp_path_factory: pytest.TempPathFactory) -> sweep.analysis.study.Study:
    """A study of twelve trials, of which two were pruned and one has failed."""
    project = Project(tmp_path_factory.mktemp("various"))
    program = Path(__file__).parents[1] / "program" / "various.py"
    (project.root / "various.py").write_text(program.read_text())
    spec = project.spec("s", program="various:train", parameters=PARAMETERS, trials=12, retries=0,
                        early_terminate={"type": "threshold", "upper": 100})  # fmt: skip
    assert project.call("run", "--inline", spec).returncode == 1
    return sweep.open_study(project.store / "s")


def test_trials_are_those_of_the_study(various: sweep.analysis.study.Study) -> None:
    """States, values, reports, times and attributes, trial by trial."""
    made = various.to_optuna()
    assert (made.study_name, made.metric_names) == ("s", ["loss"])
    assert made.direction == optuna.study.StudyDirection.MINIMIZE
    assert made.best_trial.number == various.best["number"]
    reports = various.reports
    for row, trial in zip(various.trials.to_dict("records"), made.trials, strict=True):
        own = reports[reports["trial"] == row["number"]]
        assert trial.number == trial.user_attrs["number"] == row["number"]
        assert trial.state.name == str(row["state"]).replace("FAILED", "FAIL")
        steps = dict(zip(own["step"], own["metrics.loss"], strict=True))
        assert trial.intermediate_values == steps
        assert trial.datetime_start == local(row["started"])
        assert trial.datetime_complete == local(row["finished"])
        if trial.state is TrialState.FAIL:
            assert trial.values is None
            assert trial.user_attrs["reason"] == row["reason"]
        else:
            assert trial.value == row["value"]
            assert trial.user_attrs["checkpoint"] == row["checkpoint"]
            assert trial.user_attrs["metrics"]["epoch"] == row["metrics.epoch"]
    states = [trial.state.name for trial in made.trials]
    assert [states.count(each) for each in ("COMPLETE", "PRUNED", "FAIL")] == [9, 2, 1]


def local(time: Any) -> datetime:
    """A time of the tables as Optuna has it."""
    return datetime.fromtimestamp(time.timestamp())


RANGES: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(0.001, 0.5, log=True),
    "kind": CategoricalDistribution(["adam", "sgd"]),
    "momentum": FloatDistribution(0.0, 0.9),
    "depth": IntDistribution(1, 9, step=2),
    "width": IntDistribution(4, 64, log=True),
    "share": FloatDistribution(0.1, 0.5, step=0.1),
    "batch": IntDistribution(8, 64, step=8),
    "mixed": FloatDistribution(0, 1),
    "layers": CategoricalDistribution(["[1, 2]", "[3]"]),
    "flag": CategoricalDistribution(["true", "1", "null"]),
    "odds": CategoricalDistribution(["a", "b"]),
    "same": CategoricalDistribution([7]),
}


def test_ranges_are_those_of_the_users_values(various: sweep.analysis.study.Study) -> None:
    """Every kind of parameter; what is conditional is there where it has a meaning only."""
    made = various.to_optuna()
    for row, trial in zip(various.trials.to_dict("records"), made.trials, strict=True):
        known = {name: each for name, each in trial.distributions.items() if name in RANGES}
        assert known == {name: RANGES[name] for name in known}
        assert set(PARAMETERS) - set(trial.params) <= {"momentum"}
        assert ("momentum" in trial.params) == (trial.params["kind"] == "sgd")
        assert trial.params["lr"] == row["params.lr"]
        assert json.loads(trial.params["layers"]) in ([1, 2], [3])
        noise, scale = (trial.distributions[name] for name in ("noise", "scale"))
        assert isinstance(noise, FloatDistribution)
        assert isinstance(scale, FloatDistribution)
        assert noise.low <= 0.7 + 1e-12
        assert noise.high >= 1.3 - 1e-12
        assert (noise.log, scale.log) == (False, True)
        assert scale.low < 0.05 < 20 < scale.high
    assert {trial.params["kind"] for trial in made.trials} == {"adam", "sgd"}


def test_optuna_works_on_it(various: sweep.analysis.study.Study) -> None:
    """Importances are of the searched parameters, every plot is drawn, and the search goes on."""
    from optuna import visualization

    made = various.to_optuna()
    importances = optuna.importance.get_param_importances(made)
    assert {"lr", "kind"} <= set(importances)
    assert sum(importances.values()) == pytest.approx(1)
    for plot in (
        visualization.plot_contour,
        visualization.plot_edf,
        visualization.plot_intermediate_values,
        visualization.plot_optimization_history,
        visualization.plot_parallel_coordinate,
        visualization.plot_param_importances,
        visualization.plot_rank,
        visualization.plot_slice,
        visualization.plot_timeline,
    ):
        options = {"params": ["lr", "depth"]} if plot is visualization.plot_contour else {}
        assert plot(made, **options).data
    asked = made.ask(RANGES)
    assert asked.number == 12
    assert len(various.to_optuna().trials) == 12


def test_several_objectives_and_constraints(project: Project) -> None:
    """Directions, names, violations and so the Pareto front are the study's."""
    spec = project.spec(
        "front",
        program="front:train",
        parameters={"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}},
        metric=[{"name": "loss"}, {"name": "size", "goal": "maximize"}],
        constraints=["latency_ms <= 20"],
        trials=10,
    )
    assert project.call("run", "--inline", spec).returncode == 0
    study = sweep.open_study(project.store / "front")
    made = study.to_optuna()
    assert [each.name for each in made.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert made.metric_names == ["loss", "size"]
    latency = study.trials["metrics.latency_ms"] - 20
    found = [trial.constraints["latency_ms <= 20"] for trial in made.trials]
    assert found == pytest.approx(list(latency))
    assert max(found) > 0
    best = {trial.number for trial in made.best_trials}
    assert best == set(study.pareto["number"])
    assert optuna.visualization.plot_pareto_front(made).data


def test_what_is_not_over_runs(complete: Project) -> None:
    """A fork that waits runs, to Optuna, and a value outside of the space widens the range."""
    study = sweep.open_study(complete.store / "s")
    number = study.fork(0, at=3, lr=2.0, width=3, force=True)
    made = study.to_optuna()
    fork = made.trials[number]
    assert fork.state is TrialState.RUNNING
    assert fork.datetime_complete is None
    assert (fork.user_attrs["parent"], fork.params["lr"]) == (0, 2.0)
    for trial in made.trials:
        assert trial.distributions["lr"] == FloatDistribution(0.001, 2.0, log=True)
        assert trial.distributions["width"] == CategoricalDistribution([2, 4, 3])


def test_a_space_function_has_what_trials_were_drawn_from(project: Project) -> None:
    """No space is declared: ranges and choices are those that suggestions came from."""
    (project.root / "own.py").write_text(
        "def define(trial):\n"
        "    if trial.suggest_categorical('kind', ['a', 'b']) == 'a':\n"
        "        trial.suggest_float('x', 0.5, 2.0, log=True)\n"
        "    trial.suggest_int('n', 1, 8)\n"
    )
    spec = project.spec("own", program="odd:returns_one", parameters={}, trials=8)
    text = spec.read_text().replace("parameters: {}\n", "space: own:define\n")
    spec.write_text(text)
    done = project.run("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    made = sweep.open_study(project.store / "own").to_optuna()
    for trial in made.trials:
        assert trial.distributions["n"] == IntDistribution(1, 8)
        kinds = trial.distributions["kind"]
        assert isinstance(kinds, CategoricalDistribution)
        assert set(kinds.choices) == {"a", "b"}
        assert ("x" in trial.params) == (trial.params["kind"] == "a")
        assert trial.distributions.get("x", FloatDistribution(0.5, 2.0, log=True)).log
