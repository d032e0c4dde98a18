"""Trials of another study as history: mapped by name, checked, and no trials of this one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from past_study import Study, accept, changed, simulate, spec_of, tried
from test_search import PARAMETERS

from sweep.errors import UsageError
from sweep.journal.event import HistoryAdded, TrialState
from sweep.journal.state import StudyState
from sweep.search import history
from sweep.search.replay import replay
from sweep.spec import StudySpec

LEARNING: list[Any] = [
    "tpe",
    {"name": "tpe", "n_startup_trials": 4, "multivariate": True, "group": True},
    pytest.param({"name": "gp", "n_startup_trials": 4}, marks=pytest.mark.long),
    {"name": "nsga2", "population_size": 4},
    {"name": "nsga3", "population_size": 4},
]
OTHERS: list[Any] = [{"name": "cmaes", "n_startup_trials": 3, "popsize": 4}, "qmc", "random"]


@pytest.fixture(scope="module")
def other() -> Study:
    """A study of 18 trials of which some were pruned and some have failed."""
    study = Study(spec_of("random", {"type": "median", "startup_trials": 2}))
    simulate(study, 18, 3, rebuild=False)
    return study


def taken_from(source: str, state: StudyState, spec: StudySpec) -> HistoryAdded:
    return history.history_of(source, state, spec, spec.space)


def warm(spec: StudySpec, other: Study, trials: int = 6, *, rebuild: bool = False) -> Study:
    study = Study(spec)
    study.record(taken_from("other", other.state, spec))
    for _ in range(trials):
        if rebuild:
            study.rebuild()
        tried(study)
    return study


def spaced(method: Any = "tpe", **parameters: Any) -> StudySpec:
    return changed(spec_of(method), parameters=PARAMETERS | parameters)


@pytest.mark.parametrize("method", [*LEARNING, *OTHERS], ids=str)
def test_rebuilt_with_history(method: Any, other: Study) -> None:
    """Rebuilt before every ask it answers alike, and the journal alone is enough for a replay."""
    spec = spec_of(method, {"type": "median", "startup_trials": 2})
    kept = warm(spec, other)
    assert kept.entries == warm(spec, other, rebuild=True).entries
    found = replay(kept.entries, {})
    assert found.passed, found.deviations[:3]


@pytest.mark.parametrize("method", LEARNING, ids=str)
def test_the_sampler_learns(method: Any, other: Study) -> None:
    """Its first suggestion is another one than without."""
    without, with_ = Study(spec_of(method)), warm(spec_of(method), other, 0)
    first = [study.search.ask(study.state).params for study in (without, with_)]
    assert first[0] != first[1]


def test_they_are_no_trials_of_this_study(other: Study) -> None:
    """Neither in number, nor in the iterations, nor as the incumbent, nor for the pruner."""
    study = warm(spec_of("tpe", {"type": "median", "startup_trials": 2}), other, 0)
    assert study.state.trials == {}
    assert study.state.asked == 0
    assert study.state.best is None
    number = study.ask()
    assert number == 0
    step = max(one["report"][0] for one in study.state.histories[0].trials)
    assert not study.report(number, step, 1e9)  # the other's reports do not make it a bad one
    study.finish(number)
    assert study.state.iterations[0].best_trial == number
    assert len(study.state.iterations) == 1


def test_all_of_the_same_space_fit(other: Study) -> None:
    """Complete and pruned ones are taken, with the values they had; failed ones are not."""
    found = taken_from("other", other.state, spec_of("tpe"))
    trials = other.state.trials
    assert found.left_out == []
    taken = {one["number"]: one for one in found.trials}
    failed = {n for n, trial in trials.items() if trial.state is TrialState.FAILED}
    assert failed
    assert taken.keys() == trials.keys() - failed
    assert all(one["values"] == [trials[n].value] for n, one in taken.items())
    assert all(one["params"] == trials[n].params for n, one in taken.items())


def test_what_does_not_fit_is_left_out_with_its_reason(other: Study) -> None:
    """A narrower range leaves out, a new parameter needs a default, what is not here is ignored."""
    parameters = {name: each for name, each in PARAMETERS.items() if name != "kind"}
    spec = changed(spec_of("tpe"), parameters=parameters | {"width": {"min": 1, "max": 32}})
    found = taken_from("other", other.state, spec)
    assert {reason.split(":")[0] for _, reason in found.left_out} == {"width"}
    assert all(one["params"]["width"] <= 32 for one in found.trials)
    assert all("kind" not in one["latents"] for one in found.trials)
    total = len(found.trials)

    new = {"warmup": {"min": 0, "max": 9}}
    found = taken_from("other", other.state, spaced(**new))
    assert found.trials == []
    assert set(dict(found.left_out).values()) == {"warmup: is new, and has no default"}
    new["warmup"]["default"] = 4
    found = taken_from("other", other.state, spaced(**new))
    assert len(found.trials) > total
    assert all(one["latents"]["warmup"][0] == 4 for one in found.trials)


def test_a_default_counts_for_a_constraint(other: Study) -> None:
    """What stands for a parameter that trials were made without may exceed a bound."""
    new = {"warmup": {"min": 0, "max": 9, "default": 7}}
    spec = changed(spaced(**new), constraints=["warmup <= 4"])
    found = taken_from("other", other.state, spec)
    assert found.trials
    assert all(one["violations"] == {"warmup <= 4": 3.0} for one in found.trials)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"metric": {"name": "loss", "goal": "maximize"}},
            "s: warm_start: other: its trials minimize loss, these maximize loss: "
            "their values cannot be compared",
        ),
        ({"metric": {"name": "error"}}, "its trials minimize loss, these minimize error"),
        (
            {"parameters": {"x": {"min": 0, "max": 1}}},
            "s: warm_start: other: has none of this study's parameters (x): it has decay, fixed, "
            "kind, lr, momentum, optimizer and width",
        ),
    ],
)
def test_a_study_that_teaches_nothing_is_an_error(
    other: Study, values: dict[str, Any], says: str
) -> None:
    """Another goal, another metric or no shared parameter is one clear line."""
    with pytest.raises(UsageError) as error:
        taken_from("other", other.state, changed(spec_of("tpe"), **values))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_history_may_come_later_and_crosses_a_change(other: Study) -> None:
    """Added to a study that has trials, and held against its next space like those."""
    study = Study(spec_of("tpe"))
    simulate(study, 6, 1, rebuild=False)
    study.record(taken_from("other", other.state, study.spec))
    simulate(study, 9, 1, rebuild=False)
    accept(study, spaced(width={"min": 1, "max": 32}))
    named = [entry.event for entry in study.entries if entry.event.type == "spec_changed"]
    assert any(str(name).startswith("other/") for name, _ in named[0].left_out)
    simulate(study, 12, 1, rebuild=True)
    found = replay(study.entries, {})
    assert found.passed, found.deviations[:3]


def test_changed_history_is_found(other: Study) -> None:
    """Latent values that do not follow from the parameters are a deviation."""
    study = warm(spec_of("tpe"), other)
    entries = [
        replace(entry, event=replace(entry.event, trials=[one | {"latents": {}} for one in trials]))
        if isinstance(entry.event, HistoryAdded) and (trials := entry.event.trials)
        else entry
        for entry in study.entries
    ]
    found = replay(entries, {})
    assert any("other/" in deviation.what for deviation in found.deviations)
