"""Forks in a search: they take a number, no suggestion, and are told like other trials."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_search import PARAMETERS, Study, loss, spec_of

from sweep.errors import UsageError
from sweep.journal.event import CheckpointSaved, TrialFinished, TrialState
from sweep.search.fork import forked, vary
from sweep.search.replay import replay
from sweep.spec import Parameter
from sweep.spec.inverse import latent_of

METHODS = ["tpe", "random", "qmc", "grid"]


def run_one(study: Study, number: int) -> None:
    for step in range(3):
        if study.report(number, step, loss(study.state.trials[number].params, step)):
            study.finish(number, TrialState.PRUNED)
            return
    study.finish(number)


def save(study: Study, number: int) -> str:
    name = f"{number}@1.0"
    study.record(
        CheckpointSaved(
            trial=number, attempt=0, step=0, checkpoint=name, record={"kind": "periodic"}
        )
    )
    return name


def fork(study: Study, parent: int, *, force: bool = False, **changes: Any) -> int:
    number = len(study.state.trials)
    varied = vary(study.spec.space, study.state.trials[parent].params, changes, force=force)
    source = next(iter(study.state.trials[parent].checkpoints))
    record = {"id": f"{number}@1.0", "trial": number, "step": 0, "kind": "fork"}
    study.record(forked(parent, source, record, varied))
    return number


def simulated(method: str, *, forks: bool, rebuild: bool = False) -> Study:
    """Ten asked trials one after another; with ``forks``, four more between them."""
    study = Study(spec_of(method))
    asked = 0
    while asked < 10:
        if rebuild:
            study.rebuild()
        number = study.ask()
        asked += 1
        save(study, number)
        run_one(study, number)
        if forks and asked in (1, 4, 5, 9):
            width = 1 + asked % 8
            run_one(study, fork(study, number, width=width))
    return study


def suggested(study: Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.state.trials.values() if trial.fork is None]


@pytest.mark.parametrize("method", METHODS)
def test_a_search_with_forks_is_derived_again(method: str) -> None:
    """Rebuilt before every ask it answers alike, and a replay of its journal finds no deviation."""
    study = simulated(method, forks=True)
    assert study.state.asked == 10
    assert study.state.forks == 4
    assert simulated(method, forks=True, rebuild=True).entries == study.entries
    found = replay(study.entries, {})
    assert found.passed, found.deviations
    assert (found.suggestions, found.forks, found.tellings) == (10, 4, 14)


@pytest.mark.parametrize("method", ["random", "qmc", "grid"])
def test_forks_consume_no_suggestion(method: str) -> None:
    """What does not learn suggests with forks between exactly what it does without."""
    assert suggested(simulated(method, forks=True)) == suggested(simulated(method, forks=False))


def test_a_grid_with_forks_is_searched_whole() -> None:
    """No configuration of a grid is left out or tried twice because of forks."""
    study = Study(spec_of("grid"))
    size = study.spec.space.grid_size
    assert size is not None
    for _ in range(size):
        number = study.ask()
        save(study, number)
        fork(study, number, width=3)
    assert suggested(study) == list(study.spec.space.grid())


def test_the_sampler_learns_from_forks() -> None:
    """A fork's result changes what TPE suggests next, as any trial's does."""
    plain, learned = (simulated("tpe", forks=False) for _ in range(2))
    for number in range(5):
        run_one(learned, fork(learned, number, lr=1e-4, width=64))
    for study in (plain, learned):
        for _ in range(5):
            run_one(study, study.ask())
    assert suggested(plain)[10:] != suggested(learned)[10:]
    trials = learned.search._storage.trials
    assert len(trials) == len(learned.state.trials)


def test_a_fork_outside_of_the_space_is_not_told() -> None:
    """With force it is a trial that samplers do not see, and the next suggestions are the same."""
    plain, forced = (simulated("tpe", forks=False) for _ in range(2))
    number = fork(forced, 0, force=True, lr=50.0)
    for step in range(3):
        forced.report(number, step, -100.0)
    trial = forced.state.trials[number]
    assert not trial.searched
    forced.record(
        TrialFinished(
            trial=number, attempt=0, state=TrialState.COMPLETE, value=-100.0, checkpoint=None
        )
    )
    best = forced.state.best
    assert best is not None
    assert best.number != number
    one, other = plain.search.ask(plain.state), forced.search.ask(forced.state)
    assert one.params == other.params
    assert replay(forced.entries, {}).passed


def test_a_changed_fork_is_found_by_replay() -> None:
    """Latent values that do not follow from a fork's parameters are a deviation."""
    study = simulated("random", forks=True)
    entries = [
        replace(entry, event=replace(entry.event, latents={}))
        if entry.event.type == "trial_forked"
        else entry
        for entry in study.entries
    ]
    assert not replay(entries, {}).passed


SPACE = spec_of("random").space
BASE = {"lr": 0.1, "width": 8, "optimizer": "adam", "decay": 0.5, "kind": "a", "fixed": 3}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lrr": 0.1}, "did you mean lr"),
        ({"lr": 2.0}, "must be from 0.0001 to 1"),
        ({"lr": True}, "must be a number"),
        ({"lr": math.nan}, "must be a number"),
        ({"width": 65}, "from 1 to 64"),
        ({"width": 2.5}, "whole number"),
        ({"optimizer": "lion"}, "one of sgd, adam"),
        ({"optimizer": "sgd"}, "momentum: is needed"),
        ({"momentum": 0.5}, "optimizer must be sgd"),
        ({"fixed": 4}, "is fixed at 3"),
        ({"kind": "d"}, "one of a, b, c"),
        ({"lr": {1}}, "JSON"),
    ],
)
def test_changes_that_do_not_fit_are_refused(changes: dict[str, Any], says: str) -> None:
    """A wrong name, value or condition is named, with what would be right."""
    with pytest.raises(UsageError, match=says):
        vary(SPACE, BASE, changes)


def test_conditions_follow_the_changes() -> None:
    """A parameter that a change calls for is taken, and one that lost its meaning is dropped."""
    sgd = vary(SPACE, BASE, {"optimizer": "sgd", "momentum": 0.5})
    assert sgd.params["momentum"] == 0.5
    order = [dimension.name for dimension in SPACE.dimensions]
    assert list(sgd.params) == order
    adam = vary(SPACE, sgd.params, {"optimizer": "adam"})
    assert "momentum" not in adam.params
    assert adam.inside
    assert set(adam.latents) == set(adam.params) - {"fixed"}
    forced = vary(SPACE, BASE, {"fixed": 9}, force=True)
    assert forced.params["fixed"] == 9
    assert not forced.inside


DOMAINS = [
    *({**each} for each in PARAMETERS.values() if "when" not in each),
    {"distribution": "q_uniform", "min": 0.05, "max": 0.95, "q": 0.1},
    {"distribution": "log_normal", "mu": 0.0, "sigma": 1.0},
    {"distribution": "q_log_normal", "mu": 0.0, "sigma": 1.0, "q": 0.5},
    {"distribution": "q_normal", "mu": 0.0, "sigma": 2.0, "q": 1},
    {"distribution": "beta", "a": 2.0, "b": 5.0},
]


@pytest.mark.parametrize("parameter", DOMAINS, ids=lambda p: p.get("distribution", str(p)))
@given(share=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_latent_values_are_found_again(parameter: dict[str, Any], share: float) -> None:
    """For every distribution: a value that was drawn has a latent value that gives it back."""
    domain = Parameter.model_validate(parameter).domain
    match domain.latent:
        case value if hasattr(value, "size"):
            drawn = domain.value(min(int(share * value.size), value.size - 1))
        case value if hasattr(value, "low"):
            whole = isinstance(value.low, int)
            at = value.low + share * (value.high - value.low)
            drawn = domain.value(int(at) if whole else min(max(at, value.low), value.high))
        case _:
            drawn = domain.value(None)
    back = domain.value(latent_of(domain, drawn))
    if isinstance(drawn, float) and not hasattr(domain, "q"):
        assert math.isclose(back, drawn, rel_tol=1e-6, abs_tol=1e-6)
    else:
        assert back == drawn
