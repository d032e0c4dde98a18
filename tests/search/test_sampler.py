"""Samplers: the one that is used again answers as a fresh one would."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import optuna
import pytest

from sweep.errors import ProgramError
from sweep.journal.event import SpecChanged
from sweep.search.sampler import SamplerSource, ask_seed, independent
from sweep.search.search import Search
from sweep.spec import StudySpec


def study_spec(method: object, parameters: object = None) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "s",
            "program": "m:f",
            "method": method,
            "metric": {"name": "loss"},
            "parameters": parameters or {"x": {"min": 0.0, "max": 1.0}},
            "trials": 100,
            "seed": 5,
        }
    )


def source(method: object, project: str = ".") -> SamplerSource:
    return SamplerSource(study_spec(method), project)


def proposals(sampler: optuna.samplers.BaseSampler) -> list[object]:
    """A few values of each kind; normal ones would leave a half-used pair in the generator."""
    trial = optuna.create_study(sampler=sampler).ask()
    return [
        trial.suggest_float("a", 0.0, 1.0),
        trial.suggest_int("b", 0, 10**6),
        trial.suggest_categorical("c", list(range(100))),
    ]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def test_a_random_sampler_that_is_used_again_answers_like_a_fresh_one() -> None:
    for number in (0, 1, 7, 1, 0):
        ours = proposals(source("random").at(number))
        fresh = proposals(optuna.samplers.RandomSampler(seed=ask_seed(5, number)))
        assert ours == fresh


def test_nothing_of_an_earlier_ask_is_left_in_the_generator() -> None:
    used = source("random").at(0)
    used._rng.rng.normal()  # type: ignore[attr-defined]  # the second of a pair is kept for later
    again = source("random").at(0)._rng.rng  # type: ignore[attr-defined]
    fresh = np.random.RandomState(ask_seed(5, 0))
    assert [again.normal() for _ in range(3)] == [fresh.normal() for _ in range(3)]


NAMED: dict[str, type[optuna.samplers.BaseSampler]] = {
    "tpe": optuna.samplers.TPESampler,
    "gp": optuna.samplers.GPSampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "nsga3": optuna.samplers.NSGAIIISampler,
    "qmc": optuna.samplers.QMCSampler,
    "random": optuna.samplers.RandomSampler,
}
ONLY_IN_PYTHON = {"gamma", "weights", "mutation", "x0", "source_trials", "reference_points"} | {
    "elite_population_selection_strategy",
    "child_generation_strategy",
    "after_trial_strategy",
}
"""Options that are callables or objects, which YAML cannot write."""
OURS = {"seed", "constraints_func", "independent_sampler", "sigma0"} | {
    "warn_independent_sampling",
    "warn_asynchronous_seeding",
}
"""Options that the study decides, or that Optuna is about to remove."""


@pytest.mark.parametrize("name", NAMED)
def test_options_are_those_of_the_sampler(name: str) -> None:
    """What the spec takes is what the sampler's own signature takes, no more and no less."""
    options = set(type(study_spec(name).method).model_fields) - {"name"}
    theirs = set(inspect.signature(NAMED[name].__init__).parameters) - {"self"}
    gone = {"restart_strategy", "inc_popsize"}
    assert options == theirs - ONLY_IN_PYTHON - OURS - gone


@pytest.mark.parametrize(
    ("method", "attribute", "value"),
    [
        ({"name": "tpe", "n_startup_trials": 3}, "_n_startup_trials", 3),
        ({"name": "gp", "n_startup_trials": 4}, "_n_startup_trials", 4),
        ({"name": "cmaes", "popsize": 9}, "_popsize", 9),
        ({"name": "nsga2", "population_size": 7}, "_population_size", 7),
        ({"name": "nsga3", "population_size": 7}, "_population_size", 7),
        ({"name": "qmc", "qmc_type": "halton"}, "_qmc_type", "halton"),
        ("qmc", "_scramble", True),
        ({"name": "qmc", "scramble": False}, "_scramble", False),
    ],
)
def test_options_reach_the_sampler(method: object, attribute: str, value: object) -> None:
    assert getattr(source(method).at(0), attribute) == value


def test_crossover_by_its_name() -> None:
    sampler = source({"name": "nsga2", "population_size": 7, "crossover": "sbx"}).at(0)
    strategy = sampler._child_generation_strategy  # type: ignore[attr-defined]
    assert isinstance(strategy._crossover, optuna.samplers.nsgaii.SBXCrossover)


FACTORIES = """
import optuna

def make(seed, startup=5):
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)

def seedless(startup=5):
    return optuna.samplers.RandomSampler()

def wrong(seed):
    return 3

def broken(seed):
    raise RuntimeError("no licence\\nfor this")

def whole_study(seed, study_seed):
    return optuna.samplers.QMCSampler(seed=study_seed, scramble=True)

def leaves(seed):
    raise SystemExit(3)

NUMBER = 3
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "factories.py").write_text(FACTORIES)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield str(tmp_path)
    sys.modules.pop("factories", None)


def test_factory_of_the_users(project: str) -> None:
    """It is called for each ask, with that ask's seed and the options."""
    made = source({"name": "factories:make", "startup": 2}, project)
    assert made.at(0)._n_startup_trials == 2  # type: ignore[attr-defined]
    fresh = optuna.samplers.TPESampler(seed=ask_seed(5, 4), n_startup_trials=2)
    assert proposals(made.at(4)) == proposals(fresh)
    assert source("factories:whole_study", project).at(3)._seed == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("factories:mak", r"method 'factories:mak': .* has no 'mak'; did you mean make\?"),
        ("factoris:make", r"method 'factoris:make': there is no module 'factoris' in "),
        ("factories:NUMBER", r"method 'factories:NUMBER': is int, not a function or class"),
        ("factories:seedless", r"is called with seed= and the options, .*\(startup=5\)"),
        ({"name": "factories:make", "start": 2}, r"unexpected .* 'start'; did you mean startup\?"),
        ("factories:wrong", r"method 'factories:wrong': made int, not a sampler of Optuna's"),
        (
            "factories:broken",
            r"method 'factories:broken': raised RuntimeError: no licence \(.*:14\)$",
        ),
        ("factories:leaves", r"method 'factories:leaves': raised SystemExit: 3 \(.*:\d+\)$"),
        ("builtins:dict", r"method 'builtins:dict': no signature found .*write a function around"),
    ],
)
def test_a_factory_that_cannot_be_used(project: str, method: object, message: str) -> None:
    """One line that says what is wrong, before anything is run."""
    with pytest.raises(ProgramError, match=message):
        source(method, project)


def test_a_factory_that_has_moved_with_its_study(project: str, tmp_path: Path) -> None:
    """Where it was is of no interest once the journal says where it is."""
    spec = study_spec("factories:make")
    search = Search(spec, str(tmp_path / "gone"))
    described = spec.model_dump(mode="json")
    search.apply(SpecChanged(spec=described, project=project, changes=[]))
    assert proposals(search.prepare().at(4)) == proposals(source("factories:make", project).at(4))


def test_what_is_drawn_at_random_all_the_same() -> None:
    """CMA-ES knows two or more numbers that every trial has; a Gaussian process no conditions."""
    parameters = {
        "a": {"min": 0.0, "max": 1.0},
        "b": {"min": 1, "max": 9},
        "c": {"values": ["x", "y"]},
        "d": {"min": 0.0, "max": 1.0, "when": {"c": "x"}},
        "e": {"value": 1},
    }
    assert independent(study_spec("cmaes", parameters)) == ["c", "d"]
    assert independent(study_spec("gp", parameters)) == ["d"]
    assert independent(study_spec("tpe", parameters)) == []
    del parameters["b"]
    assert independent(study_spec("cmaes", parameters)) == ["a", "c", "d"]
