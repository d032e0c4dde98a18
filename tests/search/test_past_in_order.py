"""What was tried before, under `deterministic: true` and in suggestions that are made ahead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import optuna
import pytest
from past_study import Study, accept, changed, spec_of, tried
from test_changed_space import OTHER
from test_horizon import ordered, simulate

from sweep.journal.event import TrialState
from sweep.search.history import history_of
from sweep.search.replay import replay
from sweep.spec import StudySpec

SMALL = {"width": {"min": 1, "max": 4}, "optimizer": {"values": ["sgd", "adam"]}}


def in_order(method: Any = "tpe", **values: Any) -> StudySpec:
    return changed(ordered(method), **values)


@pytest.mark.parametrize("duplicates", ["rerun", "resample"])
def test_neither_slots_nor_timing_count(duplicates: str) -> None:
    """First configurations and what is asked again are the same on any number of slots."""
    more = {"enqueue": [{"width": 2}, {"width": 2, "optimizer": "sgd"}], "duplicates": duplicates}
    spec = in_order({"name": "tpe", "n_startup_trials": 3}, parameters=SMALL, trials=8, **more)
    one, two, three = (simulate(spec, slots, slots) for slots in (1, 2, 5))
    asked = [trial.asked for trial in one.state.trials.values()]
    for other in (two, three):
        assert [trial.asked for trial in other.state.trials.values()] == asked
    assert [each.enqueued for each in asked][:3] == [0, 1, None]


def test_a_result_is_taken_over_once_it_counts() -> None:
    """Within the window it depends on timing whether a result is there: such trials are run."""
    spec = in_order(
        parameters=SMALL, duplicates="reuse", enqueue=[{"width": 1, "optimizer": "sgd"}] * 7
    )
    study = Study(spec)
    reused = []
    for _ in range(7):
        number = study.ask()
        trial = study.state.trials[number]
        reused.append(trial.reuses)
        study.report(number, 0, 1.0)
        study.finish(number)
    assert reused == [None] * 5 + [0, 0]


def run(study: Study, trials: int, *, rebuild: bool) -> None:
    """Two trials at a time, of which the second ends first; results are told in order."""
    while len(study.state.trials) < trials:
        if rebuild:
            study.rebuild()
        pair = [study.ask(), study.ask()]
        for number in reversed(pair):
            study.report(number, 0, float(number))
            untold = number == pair[1]
            study.finish(number, TrialState.FAILED if untold else TrialState.COMPLETE)


@pytest.mark.parametrize(
    "method", ["tpe", {"name": "cmaes", "n_startup_trials": 3, "popsize": 4}, "qmc"], ids=str
)
def test_a_change_of_the_space(method: Any) -> None:
    """What a later ask sees of trials in its window is in the new space, too; it is rebuilt."""
    kept, rebuilt = Study(in_order(method)), Study(in_order(method))
    for study, again in ((kept, False), (rebuilt, True)):
        run(study, 12, rebuild=again)
        accept(study, changed(study.spec, parameters=OTHER))
        run(study, 24, rebuild=again)
        accept(study, study.spec)
        run(study, 28, rebuild=again)
    assert kept.entries == rebuilt.entries
    found = replay(kept.entries, {})
    assert found.passed, found.deviations[:3]


def test_trials_in_the_window_are_seen_in_the_new_space() -> None:
    """As if they had begun in it, or not at all where they do not fit."""
    study = Study(in_order())
    run(study, 8, rebuild=False)
    accept(study, changed(study.spec, parameters=OTHER))
    study.search.prepare()
    with study.search._horizon.before():
        seen = study.search._storage.get_all_trials(0, deepcopy=False)
    running = [each for each in seen[4:] if each.state is optuna.trial.TrialState.RUNNING]
    assert running
    assert any(study.state.trials[each.number].state is TrialState.FAILED for each in running)
    assert all("warmup" in each.params and "kind" not in each.params for each in running)
    left_out = [trial.left_out is not None for trial in study.state.trials.values()]
    assert [each.state is optuna.trial.TrialState.FAIL for each in seen[4:]] == left_out[4:]


def test_a_suggestion_made_ahead() -> None:
    """A snapshot knows what was tried up to then, and answers as the search did at that time."""
    other = Study(spec_of("tpe"))
    for _ in range(4):
        tried(other)
    spec = changed(
        spec_of("tpe"),
        parameters=SMALL,
        duplicates="resample",
        enqueue=[{"width": 1}, {"width": 2}],
    )
    study = Study(spec)
    study.record(history_of("other", other.state, spec, spec.space))
    tried(study)
    accept(study, changed(spec, parameters=SMALL | {"new": {"min": 0, "max": 1, "default": 0}}))
    expected = study.search.ask(study.state)
    ahead, newest = study.search.ahead(study.state), study.state.seq
    tried(study)
    assert ahead.ask() == replace(expected, saw=newest)
    assert expected.enqueued == 1
    assert replay(study.entries, {}).passed


def test_members_of_a_population_are_executed() -> None:
    """Their results are those of a history, not of their parameters alone."""
    pbt = {"name": "pbt", "perturbation_interval": 1, "quantile_fraction": 0.5}
    same = [{"lr": 0.5}] * 3
    parameters = {"lr": {"min": 0.0, "max": 1.0}, "optimizer": {"value": "adam"}}
    parameters["width"] = {"value": 3}
    spec = changed(
        spec_of("random"), method=pbt, parameters=parameters, duplicates="reuse", enqueue=same
    )
    study = Study(spec)
    for _ in range(3):
        number = study.ask()
        study.report(number, 0, 1.0)
        study.finish(number)
    assert [trial.reuses for trial in study.state.trials.values()] == [None] * 3
