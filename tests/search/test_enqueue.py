"""First configurations: tried in order, completed by the sampler, derived again by a replay."""

from __future__ import annotations

from typing import Any

import pytest
from past_study import Study, accept, changed, spec_of, tried

from sweep.search.replay import replay

FIRST: list[dict[str, Any]] = [
    {"lr": 0.5, "width": 3, "optimizer": "sgd", "momentum": 0.25, "decay": 2, "kind": "b"},
    {"optimizer": "adam", "width": 7},
]
METHODS: list[Any] = [
    "tpe",
    {"name": "tpe", "multivariate": True, "n_startup_trials": 4},
    pytest.param({"name": "gp", "n_startup_trials": 12}, marks=pytest.mark.long),
    {"name": "cmaes", "popsize": 4},
    {"name": "nsga2", "population_size": 4},
    "qmc",
]


def study_of(method: Any, enqueue: list[dict[str, Any]], trials: int = 14) -> Study:
    spec = changed(spec_of(method), enqueue=enqueue)
    study = Study(spec)
    for _ in range(trials):
        tried(study)
    return study


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_first_configurations_come_first(method: Any) -> None:
    """They are tried in order, as written; what is left open is chosen within the space."""
    study = study_of(method, FIRST)
    trials = study.state.trials
    assert trials[0].params == FIRST[0] | {"fixed": 3}
    assert isinstance(trials[0].params["decay"], float)
    assert FIRST[1].items() <= trials[1].params.items()
    assert "momentum" not in trials[1].params
    assert set(trials[1].params) == {"lr", "width", "optimizer", "decay", "kind", "fixed"}
    enqueued = [trial.asked.enqueued for trial in trials.values()]
    assert enqueued == [0, 1] + [None] * 12
    assert replay(study.entries, {}).passed


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_rebuilt_before_every_ask(method: Any) -> None:
    """With first configurations, too, a rebuilt search answers as one that never stopped."""
    kept, rebuilt = study_of(method, FIRST, 0), study_of(method, FIRST, 0)
    for _ in range(14):
        tried(kept)
        rebuilt.rebuild()
        tried(rebuilt)
    assert kept.entries == rebuilt.entries


def test_the_sampler_learns_from_them() -> None:
    """What follows depends on what they have shown."""
    one = study_of("tpe", [{"width": 1, "lr": 0.01, "optimizer": "adam"}] * 9)
    other = study_of("tpe", [{"width": 64, "lr": 0.01, "optimizer": "adam"}] * 9)
    assert one.state.trials[13].params["width"] != other.state.trials[13].params["width"]


def test_an_entry_is_tried_once_wherever_it_stands() -> None:
    """What is appended, moved or taken away between sessions does not repeat or skip others."""
    study = study_of("random", FIRST, 3)
    more = {"lr": 0.1}
    accept(study, changed(study.spec, enqueue=[more, FIRST[1], FIRST[0], FIRST[0]]))
    numbers = [tried(study) for _ in range(3)]
    asked = [study.state.trials[number].asked.enqueued for number in numbers]
    assert asked == [0, 3, None]
    assert study.state.trials[numbers[0]].params["lr"] == 0.1
    accept(study, changed(study.spec, enqueue=[]))
    tried(study)
    assert replay(study.entries, {}).passed


@pytest.mark.parametrize("method", ["grid", "brute"])
def test_a_grid_does_not_repeat_them(method: str) -> None:
    """They come first, and every configuration is tried once all the same."""
    enqueue = [{"width": 3}, {"optimizer": "adam", "width": 8}, {"width": 3}]
    spec = changed(spec_of(method), enqueue=[*enqueue, {"optimizer": "adam", "width": 8}])
    study = Study(spec)
    size = spec.space.grid_size or 0
    for _ in range(size):
        study.rebuild()
        tried(study)
    params = [trial.params for trial in study.state.trials.values()]
    assert all(entry.items() <= each.items() for entry, each in zip(enqueue, params, strict=False))
    order = list(spec.space.grid())
    assert sorted(map(order.index, params)) == list(range(size))
    assert [trial.asked.enqueued for trial in study.state.trials.values()][:4] == [0, 1, 2, None]
    with pytest.raises(ValueError, match="were tried"):
        study.search.ask(study.state)
    assert replay(study.entries, {}).passed
