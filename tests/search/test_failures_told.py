"""Failed trials are told as worse than all results, as a pure function of the journal."""

from __future__ import annotations

import math
import random
from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from past_study import changed
from test_search import Study, spec_of

from sweep.journal.event import Cause, TrialFinished, TrialRetried, TrialState
from sweep.search.penalty import Penalty, spare
from sweep.search.replay import replay
from sweep.search.result import told_as_worst
from sweep.spec import StudySpec

SPACE = {
    "x": {"min": 0.0, "max": 1.0},
    "y": {"min": 0.0, "max": 1.0},
}
METHODS: list[Any] = [
    "tpe",
    {"name": "tpe", "multivariate": True, "constant_liar": True},
    {"name": "gp", "n_startup_trials": 4},
    "cmaes",
    {"name": "nsga2", "population_size": 4},
    {"name": "nsga3", "population_size": 4},
    "random",
    "qmc",
]


def spec(method: Any, **more: Any) -> StudySpec:
    given = {"parameters": SPACE, "trials": 200, "on_failure": "worst", "on_nan": "worst"}
    return changed(spec_of(method), **(given | more))


def fail(study: Study, number: int, cause: Cause | None = Cause.NAN) -> None:
    """What the driver does about a trial that has failed."""
    worst = told_as_worst(study.spec, cause)
    study.record(
        TrialFinished(
            trial=number,
            attempt=0,
            state=TrialState.FAILED,
            value=None,
            checkpoint=None,
            cause=cause,
            worst=worst,
        )
    )
    for due in study.state.due(in_order=study.spec.deterministic):
        study.record(study.search.tell(study.state, study.state.trials[due]))


def complete(study: Study, number: int, values: list[float]) -> None:
    study.record(
        TrialFinished(
            trial=number,
            attempt=0,
            state=TrialState.COMPLETE,
            value=values[0],
            values=values if len(values) > 1 else None,
            metrics=dict(zip(study.state.objectives, values, strict=True)),
            violations=[study.state.trials[number].params["y"] - 0.5][: len(study.spec.bounds)],
            checkpoint=None,
        )
    )
    for due in study.state.due(in_order=study.spec.deterministic):
        study.record(study.search.tell(study.state, study.state.trials[due]))


def run(study: Study, trials: int, *, rebuild: bool = False) -> list[bool]:
    """Which trials failed: beyond x = 0.4 all do, and towards it results get better."""
    failed = []
    several = len(study.state.objectives)
    for _ in range(trials):
        if rebuild:
            study.rebuild()
        number = study.ask()
        x, y = (study.state.trials[number].params[name] for name in "xy")
        failed.append(x > 0.4)
        if rebuild:
            study.rebuild()
        if x > 0.4:
            fail(study, number, Cause.NAN if number % 2 else Cause.EXCEPTION)
        else:
            complete(study, number, [1 - x + 0.1 * y, y][:several])
    return failed


def test_tpe_leaves_a_region_in_which_everything_fails() -> None:
    """Where results get better towards a cliff, few trials go over it; unheard, nearly all do."""
    told, unheard = Study(spec("tpe")), Study(spec("tpe", on_failure="ignore", on_nan="ignore"))
    after_told, after_unheard = run(told, 80)[40:], run(unheard, 80)[40:]
    assert sum(after_unheard) > 30, "the region is no trap: the test shows nothing"
    assert sum(after_told) < sum(after_unheard) / 2
    assert len(told.state.iterations) == 80
    assert len(unheard.state.iterations) < 60


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("deterministic", [False, True])
def test_a_rebuilt_search_and_a_replay_answer_alike(method: Any, deterministic: bool) -> None:
    """Whatever was told as worst follows from the journal, for every sampler."""
    content = spec(method, deterministic=deterministic, window=3)
    whole, rebuilt = Study(content), Study(content)
    trials = 10 if content.method.name == "gp" else 24
    failed = run(whole, trials)
    assert any(failed), "nothing failed"
    run(rebuilt, trials, rebuild=True)
    assert rebuilt.entries == whole.entries
    found = replay(whole.entries, {})
    assert found.passed, found.deviations
    assert found.tellings == trials


SEVERAL = [METHODS[0], METHODS[2], METHODS[4], METHODS[5]]


@pytest.mark.parametrize("method", SEVERAL, ids=str)
@pytest.mark.parametrize("constraints", [[], ["y <= 0.5"]], ids=str)
def test_several_objectives_and_constraints(method: Any, constraints: list[str]) -> None:
    """A failed trial is the worst in each objective, keeps no constraint, and is on no front."""
    metrics = [{"name": "loss"}, {"name": "size", "goal": "maximize"}]
    study = Study(spec(method, metric=metrics, constraints=constraints))
    failed = run(study, 10 if study.spec.method.name == "gp" else 24)
    assert any(failed)
    assert not {number for number, each in enumerate(failed) if each} & set(study.state.front)
    found = replay(study.entries, {})
    assert found.passed, found.deviations


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_all_fail(method: Any) -> None:
    """Where nothing came to a result there is no worst: the search goes on, and replays."""
    study = Study(spec(method))
    for _ in range(12):
        fail(study, study.ask())
    assert len({str(trial.params) for trial in study.state.trials.values()}) == 12
    assert study.state.best is None
    assert replay(study.entries, {}).passed


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("deterministic", [False, True])
def test_the_result_of_a_retry_replaces_the_failure(method: Any, deterministic: bool) -> None:
    """A retried trial is no longer the worst: not while it runs, nor by its result."""
    content = spec(method, deterministic=deterministic, window=2)
    study = Study(content)
    before = 5 if content.method.name == "gp" else 10
    failed = run(study, before)
    number = failed.index(True)
    study.record(TrialRetried(trial=number, from_scratch=False))
    study.rebuild()
    assert study.ask() == before
    complete(study, number, [-1.0])
    complete(study, before, [0.0])
    run(study, 1 if content.method.name == "gp" else 6)
    told = [each.trial for each in study.state.iterations]
    assert told.count(number) == 2
    assert study.state.best is not None
    assert study.state.best.number == number
    rebuilt = Study(content)
    rebuilt.entries = study.entries
    rebuilt.rebuild()
    assert rebuilt.search.ask(study.state) == study.search.ask(study.state)
    found = replay(study.entries, {})
    assert found.passed, found.deviations


def test_only_the_users_failures_are_told() -> None:
    """A worker that died says nothing about parameters; each cause has the key that is its own."""
    quiet = spec("tpe", on_failure="ignore")
    assert told_as_worst(quiet, Cause.NAN)
    assert not told_as_worst(quiet, Cause.EXCEPTION)
    assert not told_as_worst(quiet, Cause.UNREPORTED)
    loud = spec("tpe", on_nan="ignore")
    assert not told_as_worst(loud, Cause.NAN)
    assert told_as_worst(loud, Cause.EXCEPTION)
    assert told_as_worst(loud, Cause.UNREPORTED)
    for either in (quiet, loud):
        assert not told_as_worst(either, Cause.MACHINERY)
        assert not told_as_worst(either, None)


def test_a_journal_of_before_knows_no_worst() -> None:
    """A spec without the keys is that of a sampler that did not hear of failures."""
    content = spec("tpe").model_dump(mode="json")
    del content["on_failure"], content["on_nan"]
    old = StudySpec.accepted(content)
    assert (old.on_failure, old.on_nan) == ("ignore", "ignore")
    study = Study(old)
    run(study, 12)
    for entry in study.entries:
        if isinstance(entry.event, TrialFinished):
            assert not entry.event.worst


def test_a_changed_flag_is_found() -> None:
    """A replay derives whether a failed trial was to be told."""
    study = Study(spec("random"))
    number = study.ask()
    study.record(
        TrialFinished(
            trial=number,
            attempt=0,
            state=TrialState.FAILED,
            value=None,
            checkpoint=None,
            cause=Cause.NAN,
            worst=False,
        )
    )
    assert [each.what for each in replay(study.entries, {}).deviations] == ["told as worst"]


def frozen(
    number: int, state: OptunaState, values: list[float] | None, **attrs: Any
) -> FrozenTrial:
    trial = optuna.trial.create_trial(
        state=OptunaState.RUNNING, system_attrs={f"constraints:{k}": v for k, v in attrs.items()}
    )
    trial.number, trial._trial_id, trial.state, trial.values = number, number, state, values
    return trial


LOW, HIGH = StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE


def test_the_worst_is_beyond_every_finite_result() -> None:
    """Of each objective, by the smallest step; infinities and NaN do not count."""
    done = [
        frozen(0, OptunaState.COMPLETE, [3.0, 1.0]),
        frozen(1, OptunaState.COMPLETE, [5.0, 2.0]),
        frozen(2, OptunaState.COMPLETE, [math.inf, 0.0]),
        frozen(3, OptunaState.PRUNED, [99.0, -99.0]),
        frozen(4, OptunaState.FAIL, None),
    ]
    penalty = Penalty.of(done, [LOW, HIGH])
    assert penalty is not None
    assert 5.0 < penalty.values[0] < 5.0001
    assert 0.9999 < penalty.values[1] < 1.0
    assert penalty.results == 3
    pruned = Penalty.of(done[3:], [LOW, HIGH])
    assert pruned is not None
    assert pruned.values[0] > 99.0
    assert pruned.values[1] < -99.0
    assert Penalty.of(done[4:], [LOW, HIGH]) is None
    largest = Penalty.of([frozen(0, OptunaState.COMPLETE, [1.7976931348623157e308])], [LOW])
    assert largest is not None
    assert math.isfinite(largest.values[0])


def test_a_failed_trial_exceeds_every_constraint() -> None:
    """By more than any other, so that infeasible ones with a result come before it."""
    done = [
        frozen(0, OptunaState.COMPLETE, [3.0], a=-1.0, b=-2.0),
        frozen(1, OptunaState.COMPLETE, [5.0], a=7.0, b=-2.0),
    ]
    penalty = Penalty.of(done, [LOW])
    assert penalty is not None
    seen = penalty.imposed(frozen(2, OptunaState.FAIL, None), OptunaState.COMPLETE)
    assert list(seen.constraints) == ["a", "b"]
    assert seen.constraints["a"] > 7.0
    assert 0 < seen.constraints["b"] < 1e-300
    assert penalty.imposed(done[0], OptunaState.COMPLETE) is done[0]


def test_tpe_takes_no_failed_trial_for_a_good_one() -> None:
    """However many have failed, the good ones are at most those that have a result."""
    sampler = TPESampler(seed=0)
    spare(sampler, 2, 1)
    assert sampler._gamma is not None
    assert [sampler._gamma(count) for count in (5, 15, 100)] == [1, 2, 2]
    study = optuna.create_study(sampler=sampler)
    chooser = random.Random(0)
    space = {"x": optuna.distributions.FloatDistribution(0, 1)}
    made = [frozen(n, OptunaState.COMPLETE, [0.0]) for n in range(2)]
    made += [frozen(n, OptunaState.FAIL, None) for n in range(2, 60)]
    for trial in made:
        trial.distributions = space
        trial.datetime_complete = trial.datetime_start
        trial.params = {"x": 0.9 * chooser.random() if trial.values is None else 0.97}
    penalty = Penalty.of(made, [LOW])
    assert penalty is not None
    for trial in made:
        study.add_trial(penalty.imposed(trial, OptunaState.PRUNED))
    assert study.ask().suggest_float("x", 0, 1) > 0.9
