"""Several objectives and constraints: the search stays a pure function of the journal."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from optuna.study import StudyDirection, create_study
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial
from test_search import PARAMETERS, Study, spelled, tampered

from sweep.driver.conclusion import Conclusion
from sweep.journal.event import (
    Cause,
    Entry,
    TrialAsked,
    TrialFinished,
    TrialReported,
    TrialState,
    TrialTold,
)
from sweep.journal.fold import fold
from sweep.journal.row import decode, encode
from sweep.journal.state import Trial
from sweep.search.replay import replay
from sweep.search.result import violations_of
from sweep.spec import StudySpec

TWO = [{"name": "loss"}, {"name": "speed", "goal": "maximize"}]
BOUNDS = ["latency <= 30", "lr >= 0.001"]


def spec_of(
    method: Any, metric: Any = TWO, constraints: list[str] | None = None, **more: Any
) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "s",
            "program": "m:f",
            "method": method,
            "metric": metric,
            "constraints": constraints or [],
            "parameters": PARAMETERS,
            "trials": 40,
            "seed": 5,
        }
        | more
    )


def metrics_of(params: dict[str, Any]) -> dict[str, float]:
    lr = math.log10(params["lr"]) + 2
    return {
        "loss": lr * lr + params["width"] / 64,
        "speed": -abs(params["decay"]) - lr,
        "latency": float(params["width"]),
    }


def finish(study: Study, number: int, metrics: dict[str, float]) -> None:
    """As a driver does it: report, conclude, tell."""
    trial = study.state.trials[number]
    value = metrics.get(study.spec.objective.name)
    study.record(
        TrialReported(trial=number, attempt=0, step=0, value=value, metrics=metrics, prune=None)
    )
    ended = Conclusion.of(trial, TrialState.COMPLETE, {}, study.spec, None)
    values = list(ended.values)
    study.record(
        TrialFinished(
            trial=number,
            attempt=0,
            state=ended.state,
            value=values[0] if values else None,
            values=values if len(values) > 1 else None,
            violations=list(ended.violations),
            checkpoint=None,
        )
    )
    if ended.state is not TrialState.FAILED:
        study.record(study.search.tell(study.state, trial))


def simulate(study: Study, trials: int, in_flight: int, *, rebuild: bool) -> None:
    """Run a study whose trials end out of order; one of nine lacks an objective and fails."""
    chooser = random.Random(9)
    running: list[int] = []
    while len(study.state.trials) < trials or running:
        while len(running) < in_flight and len(study.state.trials) < trials:
            if rebuild:
                study.rebuild()
            running.append(study.ask())
        number = running.pop(chooser.randrange(len(running)))
        if rebuild:
            study.rebuild()
        metrics = metrics_of(study.state.trials[number].params)
        if number % 9 == 8:
            del metrics["loss"]
        finish(study, number, metrics)


GP = {"name": "gp", "n_startup_trials": 12}  # its models take seconds: a few asks must do
CASES: list[Any] = [
    ({"name": "nsga2", "population_size": 4}, TWO, []),
    ({"name": "nsga3", "population_size": 4}, TWO, []),
    ({"name": "tpe", "n_startup_trials": 5}, TWO, []),
    pytest.param((GP, TWO, []), marks=pytest.mark.long),
    ({"name": "nsga2", "population_size": 4}, TWO[:1], BOUNDS),
    ({"name": "nsga3", "population_size": 4}, TWO, BOUNDS),
    ({"name": "tpe", "n_startup_trials": 5}, TWO[:1], BOUNDS),
    pytest.param((GP, TWO[:1], BOUNDS), marks=pytest.mark.long),
    ("random", TWO, BOUNDS),
    ("qmc", TWO, BOUNDS),
]


def named(case: Any) -> str:
    method, metric, constraints = case
    return f"{spelled(method)}-{len(metric)}-{len(constraints)}"


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("case", CASES, ids=named)
def test_rebuilt_search_goes_on_identically(case: Any, in_flight: int) -> None:
    """Rebuilt from the journal before each question, it answers as one that never stopped."""
    spec = spec_of(*case)
    kept, rebuilt = Study(spec), Study(spec)
    trials = 15 if case[0] is GP and in_flight == 1 else 18
    simulate(kept, trials, in_flight, rebuild=False)
    simulate(rebuilt, trials, in_flight, rebuild=True)
    assert kept.entries == rebuilt.entries
    assert kept.state.counts[TrialState.FAILED] == trials // 9
    if case[0] is GP:  # a model was asked, and not only chance
        wrote = [e.event.wrote for e in kept.entries if isinstance(e.event, TrialAsked)]
        assert any("gp:relative_params:0" in each.get("trial", {}) for each in wrote)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_replay_passes(case: Any) -> None:
    """Suggestions, values, violations and fronts follow from the journal."""
    study = Study(spec_of(*case))
    simulate(study, 18, 3, rebuild=False)
    found = replay(study.entries, {})
    assert found.passed, found.deviations[:3]
    assert found.suggestions == 18
    assert found.tellings == 16


@pytest.mark.parametrize(
    ("kind", "values", "what"),
    [
        (TrialFinished, {"values": [1.0, 2.0]}, "values"),
        (TrialFinished, {"violations": [-1.0, -2.0]}, "violations"),
        (TrialTold, {"entered": True, "left": [0, 1, 2]}, "left"),
        (TrialTold, {"values": [0.0, 0.0]}, "values"),
    ],
)
def test_changed_value_makes_replay_fail(kind: Any, values: dict[str, Any], what: str) -> None:
    study = Study(spec_of("tpe", TWO, BOUNDS))
    simulate(study, 9, 1, rebuild=False)
    position = [n for n, entry in enumerate(study.entries) if isinstance(entry.event, kind)][5]
    found = replay(tampered(study.entries, position, **values), {})
    assert any(deviation.what == what for deviation in found.deviations)


@pytest.mark.parametrize("constraints", [[], BOUNDS], ids=["free", "bound"])
def test_front_is_optunas(constraints: list[str]) -> None:
    """The front that told results lead to is the one that Optuna finds in all of them at once."""
    study = Study(spec_of("random", TWO, constraints))
    simulate(study, 40, 4, rebuild=False)
    theirs = create_study(directions=[StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE])
    numbers = []
    for trial in study.state.trials.values():
        if trial.state is TrialState.COMPLETE and trial.feasible:
            numbers.append(trial.number)
            theirs.add_trial(create_trial(values=trial.values))
    expected = sorted(numbers[best.number] for best in theirs.best_trials)
    assert sorted(study.state.front) == expected
    assert len(expected) > 1
    assert {iteration.best_trial for iteration in study.state.iterations} == {None}
    assert study.state.iterations[-1].front == len(expected)
    assert study.state.best is None


def on_front(values: list[tuple[float, float]], constraints: list[str] | None = None) -> list[int]:
    study = Study(spec_of("random", TWO, constraints))
    for loss, speed in values:
        finish(study, study.ask(), {"loss": loss, "speed": speed, "latency": 1.0})
    return study.state.front


@pytest.mark.parametrize(
    ("values", "front"),
    [
        ([(1, 1), (2, 2)], [0, 1]),  # speed is maximised
        ([(1, 1), (2, 1), (1, 0)], [0]),
        ([(1, 1), (1, 1)], [0, 1]),
        ([(2, 2), (3, 3), (1, 2.5)], [1, 2]),
        ([(2, 2), (1, 3)], [1]),
        ([(math.inf, 2), (1, 1)], [0, 1]),
        ([(math.nan, 2), (1, 1)], [1]),
    ],
)
def test_front(values: list[tuple[float, float]], front: list[int]) -> None:
    """Equal ones share it, a better one displaces all that it beats, NaN is never on it."""
    assert on_front(values) == front


def test_front_lists_the_best_by_the_first_objective_first() -> None:
    study = Study(spec_of("random", [{"name": "speed", "goal": "maximize"}, {"name": "loss"}]))
    for loss, speed in [(1, 1), (3, 3), (2, 2)]:
        finish(study, study.ask(), {"loss": loss, "speed": speed})
    assert [trial.number for trial in study.state.pareto] == [1, 2, 0]


def test_incumbent_is_the_best_that_keeps_the_constraints() -> None:
    """Better ones that exceed a bound do not lead; before the first feasible one nobody does."""
    study = Study(spec_of("random", TWO[:1], ["latency <= 20"]))
    for loss, latency in [(1, 21), (3, 20), (2, 30), (2, -5)]:
        finish(study, study.ask(), {"loss": loss, "latency": latency})
    assert [iteration.best_trial for iteration in study.state.iterations] == [None, 1, 1, 3]
    assert [trial.feasible for trial in study.state.trials.values()] == [False, True, False, True]
    assert [trial.violations for trial in study.state.trials.values()] == [[1], [0], [10], [-25]]
    assert study.state.pareto == [study.state.trials[3]]


def test_sampler_finds_the_violations_where_optuna_keeps_them() -> None:
    """`FrozenTrial.constraints`, which all samplers read, has what ``set_constraint`` would."""
    study = Study(spec_of("tpe", TWO[:1], ["latency <= 20", "momentum <= 0.5"]))
    for latency in (25.0, 15.0):
        finish(study, study.ask(), {"loss": 1.0, "latency": latency})
    first, second = study.search._study.trials
    expected = create_trial(value=1.0)
    expected.set_constraint("latency <= 20", 5.0)
    assert first.constraints["latency <= 20"] == expected.constraints["latency <= 20"] == 5.0
    assert second.constraints["latency <= 20"] == -5.0
    assert first.state is OptunaState.COMPLETE
    for trial in study.state.trials.values():  # where it has no meaning it exceeds nothing
        momentum = trial.params.get("momentum")
        assert trial.violations[1] == (0.0 if momentum is None else momentum - 0.5)


@pytest.mark.parametrize("method", ["tpe", pytest.param("gp", marks=pytest.mark.long), "nsga2"])
def test_constraint_steers_the_sampler(method: str) -> None:
    """With the bound in the history a sampler stays near it; without, it leaves it far behind."""
    options = {"population_size": 6} if method == "nsga2" else {"n_startup_trials": 6}
    near = {}
    for bound in ("latency <= 1e9", "latency <= 12"):
        study = Study(
            spec_of(
                {"name": method, **options},
                [{"name": "latency", "goal": "maximize"}],
                [bound],
                parameters={"width": {"min": 0.0, "max": 64.0}, "x": {"min": 0.0, "max": 1.0}},
            )
        )
        for _ in range(20 if method == "gp" else 30):
            number = study.ask()
            finish(study, number, {"latency": study.state.trials[number].params["width"]})
        widths = [trial.params["width"] for trial in study.state.trials.values()]
        near[bound] = sum(width <= 18 for width in widths[10:])
    assert near["latency <= 12"] > near["latency <= 1e9"] + 2


def test_constraint_on_a_parameter_of_a_group_or_a_function() -> None:
    """It is found by the name that the trial has it under, wherever that was written."""
    group = {"opt.lr": {"min": 0.0, "max": 1.0}}  # as groups are read
    for more in ({"parameters": group}, {"space": "m:f"}):
        spec = StudySpec.model_validate(
            spec_of("random", TWO[:1], ["opt.lr <= 0.5"]).model_dump(
                mode="json", exclude={"parameters"}
            )
            | more
        )
        asked = TrialAsked(
            trial=0, params={"opt.lr": 0.75}, latents={}, seed=0, wrote={}, told=0, running=[]
        )
        trial = Trial(number=0, asked=asked, started=0.0, updated=0.0)
        assert violations_of(spec, trial, {}) == {"opt.lr <= 0.5": 0.25}


def test_conclusion_without_a_metric_of_a_constraint() -> None:
    """A completed trial says whether it keeps a constraint, or fails; a pruned one need not."""
    study = Study(spec_of("random", TWO[:1], ["latency <= 20"]))
    trial = study.state.trials[study.ask()]
    missing = Conclusion.of(trial, TrialState.COMPLETE, {"loss": 1.0}, study.spec, None)
    assert missing.state is TrialState.FAILED
    assert missing.cause is Cause.UNREPORTED
    assert missing.reason == (
        "constraints: trial 0 finished and never reported 'latency'; it reported loss"
    )
    nan = {"loss": 1.0, "latency": math.nan}
    not_a_number = Conclusion.of(trial, TrialState.COMPLETE, nan, study.spec, None)
    assert (not_a_number.state, not_a_number.reason) == (TrialState.FAILED, "latency is NaN")
    pruned = Conclusion.of(trial, TrialState.PRUNED, {"loss": 1.0}, study.spec, None)
    assert (pruned.state, pruned.values, pruned.violations) == (TrialState.PRUNED, (1.0,), ())


def test_journal_without_the_new_fields_is_read() -> None:
    """Events of version 1 have no values, violations or front; nothing of one objective changed."""
    study = Study(spec_of("random", TWO[:1]))
    for loss in (2.0, 1.0):
        finish(study, study.ask(), {"loss": loss})
    assert fold(map(of_version_1, study.entries)) == study.state


def of_version_1(entry: Entry) -> Entry:
    row = encode(entry)
    if isinstance(entry.event, TrialFinished | TrialTold):
        data = json.loads(row["data"])
        for name in ("values", "violations", "entered", "left"):
            data.pop(name, None)
        row |= {"version": 1, "data": json.dumps(data)}
    return decode(row)
