"""A space that changes while the study lives: what fits is known to the sampler, the rest stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import TrialState as OptunaState
from past_study import Study, accept, changed, simulate, spec_of, tried
from test_search import PARAMETERS

from sweep.journal.event import SpecChanged, TrialState
from sweep.search.replay import replay
from sweep.spec import StudySpec

METHODS: list[Any] = [
    "tpe",
    {"name": "tpe", "n_startup_trials": 4, "multivariate": True, "group": True},
    pytest.param({"name": "gp", "n_startup_trials": 10}, marks=pytest.mark.long),
    {"name": "cmaes", "n_startup_trials": 3, "popsize": 4},
    {"name": "nsga2", "population_size": 4},
    "qmc",
    "random",
]

OTHER = {name: each for name, each in PARAMETERS.items() if name != "kind"} | {
    "width": {"min": 1, "max": 32},
    "warmup": {"min": 0, "max": 9, "default": 0},
}
"""A narrower range, a parameter less, and one more."""


def other_space(spec: StudySpec, **parameters: Any) -> StudySpec:
    return changed(spec, parameters=spec.model_dump(mode="json")["parameters"] | parameters)


def known(study: Study) -> dict[int, Any]:
    """What the sampler knows: the parameters of trials that are not as good as failed."""
    study.search.prepare()
    trials = study.search._storage.trials
    return {n: each.params for n, each in enumerate(trials) if each.state is not OptunaState.FAIL}


def crossing(method: Any, in_flight: int, *, rebuild: bool) -> Study:
    """A study whose space is changed after ten trials, while some run, and back after 18."""
    study = Study(spec_of(method, {"type": "median", "startup_trials": 2}))
    before = study.spec
    simulate(study, 10, in_flight, rebuild=rebuild)
    left = [study.ask() for _ in range(in_flight - 1)]
    accept(study, changed(before, parameters=OTHER))
    for number in left:
        study.report(number, 0, 0.5)
        study.finish(number)
    simulate(study, 18, in_flight, rebuild=rebuild)
    accept(study, before)
    simulate(study, 22, in_flight, rebuild=rebuild)
    return study


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_rebuilt_across_changes(method: Any, in_flight: int) -> None:
    """Rebuilt before every question, across two changes of the space, it answers alike."""
    kept = crossing(method, in_flight, rebuild=False)
    assert kept.entries == crossing(method, in_flight, rebuild=True).entries
    found = replay(kept.entries, {})
    assert found.passed, found.deviations[:3]
    assert found.suggestions == 22
    spaces = [trial.params.keys() & {"kind", "warmup"} for trial in kept.state.trials.values()]
    assert spaces[0] == spaces[-1] == {"kind"}
    assert {"warmup"} in spaces


def test_those_that_fit_are_known() -> None:
    """A value outside is a reason, a default stands for a new parameter, and back again all fit."""
    study = Study(spec_of("tpe"))
    simulate(study, 12, 1, rebuild=False)
    all_known = known(study)
    accept(study, changed(study.spec, parameters=OTHER))
    narrow = {n for n, trial in study.state.trials.items() if trial.params["width"] <= 32}
    assert 0 < len(narrow) < 12
    assert known(study).keys() == narrow & all_known.keys()
    assert all(params["warmup"] == 0 and "kind" not in params for params in known(study).values())
    left_out = {n: trial.left_out for n, trial in study.state.trials.items()}
    assert {n for n, reason in left_out.items() if reason is None} == narrow
    reason = next(reason for reason in left_out.values() if reason is not None)
    assert "width: must be a whole number from 1 to 32" in reason
    assert len(study.state.trials) == 12
    best = study.state.best
    study.record(study.search.accept(study.spec, "", []))
    assert known(study).keys() == all_known.keys()
    assert study.state.best is best
    assert all(trial.left_out is None for trial in study.state.trials.values())


def test_a_new_parameter_without_a_default() -> None:
    """Nothing fits then, and the search begins anew; a new constant is no obstacle."""
    study = Study(spec_of("tpe"))
    simulate(study, 4, 1, rebuild=False)
    accept(study, other_space(study.spec, epochs={"value": 9}))
    assert len(known(study)) == 4
    accept(study, other_space(study.spec, warmup={"min": 0, "max": 9}))
    assert known(study) == {}
    reasons = {trial.left_out for trial in study.state.trials.values()}
    assert reasons == {"warmup: is new, and has no default"}
    tried(study)
    assert replay(study.entries, {}).passed


def test_a_running_trial_goes_on() -> None:
    """It keeps its parameters, and counts for the study, also where the sampler is not told."""
    study = Study(spec_of("tpe"))
    number = study.ask()
    params = study.state.trials[number].params
    accept(study, other_space(study.spec, width={"values": [100]}))
    study.rebuild()
    study.report(number, 0, -9.0)
    study.finish(number)
    assert study.state.trials[number].params == params
    assert study.state.trials[number].state is TrialState.COMPLETE
    assert study.state.best is study.state.trials[number]
    assert known(study) == {}
    tried(study)
    assert replay(study.entries, {}).passed


@pytest.mark.parametrize(
    ("method", "left"),
    [
        ({"name": "cmaes", "n_startup_trials": 3, "popsize": 4}, set()),
        ({"name": "nsga2", "population_size": 4}, {0}),
    ],
    ids=["cmaes", "nsga2"],
)
def test_notes_about_the_older_space_are_dropped(method: Any, left: set[int]) -> None:
    """CMA-ES begins anew, and what NSGA knows is its first generation."""
    study = Study(spec_of(method))
    simulate(study, 12, 1, rebuild=False)
    trials = study.search._storage.trials
    assert len({str(each.system_attrs) for each in trials}) > 2
    accept(study, changed(study.spec, parameters=OTHER))
    study.ask()
    notes = [each.system_attrs for each in study.search._storage.trials]
    assert {note for number in known(study) for note in notes[number].values()} >= left
    assert all(set(notes[number].values()) == left for number in list(known(study))[:-1])


def test_another_method_knows_all() -> None:
    """What a grid has tried teaches TPE; the seed may change too."""
    study = Study(spec_of("grid"))
    for _ in range(12):
        tried(study)
    accept(study, changed(study.spec, method="tpe", seed=9))
    assert len(known(study)) == 12
    assert all(params for params in known(study).values())
    tried(study)
    assert replay(study.entries, {}).passed


@pytest.mark.parametrize("method", ["grid", "brute"])
def test_a_grid_goes_on_where_it_is_new(method: str) -> None:
    """Configurations that both spaces have are not tried again, and none is left out."""
    study = Study(spec_of(method))
    for _ in range(10):
        tried(study)
    wider = other_space(study.spec, width={"min": 5, "max": 10})
    accept(study, wider)
    space = list(wider.space.grid())
    covered = [trial.params for trial in study.state.trials.values() if trial.params in space]
    for _ in range(len(space) - len(covered)):
        tried(study)
    after = [trial.params for trial in study.state.trials.values()][10:]
    assert sorted(map(space.index, [*covered, *after])) == list(range(len(space)))
    assert replay(study.entries, {}).passed


def test_a_changed_note_is_found() -> None:
    """A journal that says another trial was left out deviates."""
    study = Study(spec_of("random"))
    simulate(study, 6, 1, rebuild=False)
    accept(study, changed(study.spec, parameters=OTHER))
    entries = [
        replace(entry, event=replace(entry.event, left_out=[]))
        if isinstance(entry.event, SpecChanged)
        else entry
        for entry in study.entries
    ]
    (deviation,) = replay(entries, {}).deviations
    assert "left_out" in str(deviation)
