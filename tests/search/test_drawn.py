"""What a study draws at random has the distribution that was written, for every form."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from test_search import Study, simulate, spelled

from sweep.journal.state import StudyState
from sweep.search.replay import replay
from sweep.search.search import Search
from sweep.spec import Distribution, StudySpec

DRAWS = 500
LEAST_P = 1e-3
"""With a fixed seed a test either always passes or never does; this keeps slips out."""


def of(kind: str, **numbers: Any) -> dict[str, Any]:
    return {"distribution": kind, **numbers}


def log_uniform(low: float, high: float) -> Callable[[Any], Any]:
    return stats.loguniform(low, high).cdf


CONTINUOUS: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "uniform": ({"min": -2.0, "max": 3.0}, stats.uniform(-2, 5).cdf),
    "log_uniform": (of("log_uniform", min=-5, max=2), log_uniform(math.exp(-5), math.exp(2))),
    "log_uniform_values": (of("log_uniform_values", min=1e-4, max=10), log_uniform(1e-4, 10)),
    "inv_log_uniform": (
        of("inv_log_uniform", min=-2, max=5),
        log_uniform(math.exp(-5), math.exp(2)),
    ),
    "inv_log_uniform_values": (of("inv_log_uniform_values", min=0.1, max=9), log_uniform(0.1, 9)),
    "normal": (of("normal", mu=1, sigma=2), stats.norm(1, 2).cdf),
    "normal_default": (of("normal"), stats.norm(0, 1).cdf),
    "log_normal": (of("log_normal", mu=1, sigma=0.5), stats.lognorm(0.5, scale=math.e).cdf),
    "beta": (of("beta", a=2, b=5), stats.beta(2, 5).cdf),
    "beta_default": (of("beta"), stats.uniform.cdf),
}
COUNTED: dict[str, tuple[dict[str, Any], dict[Any, float]]] = {
    "categorical": ({"values": ["a", 1, None]}, {"a": 1 / 3, 1: 1 / 3, None: 1 / 3}),
    "categorical_w_probabilities": (
        {"values": ["a", "b", "c"], "probabilities": [0.7, 0.2, 0.1]},
        {"a": 0.7, "b": 0.2, "c": 0.1},
    ),
    "int_uniform": ({"min": 2, "max": 5}, dict.fromkeys(range(2, 6), 0.25)),
    "steps": ({"min": 10, "max": 29, "step": 5}, dict.fromkeys((10, 15, 20, 25), 0.25)),
    "int_log_uniform_values": (
        of("int_log_uniform_values", min=1, max=4),
        {n: math.log((n + 0.5) / (n - 0.5)) / math.log(9) for n in range(1, 5)},
    ),
}
ROUNDED: dict[str, tuple[dict[str, Any], Callable[[Any], Any], float]] = {
    "q_uniform": (of("q_uniform", min=0, max=1, q=0.2), stats.uniform.cdf, 0.2),
    "q_log_uniform": (
        of("q_log_uniform", min=0, max=3, q=2),
        log_uniform(1, math.exp(3)),
        2,
    ),
    "q_log_uniform_values": (
        of("q_log_uniform_values", min=1, max=30, q=5),
        log_uniform(1, 30),
        5,
    ),
    "q_normal": (of("q_normal", mu=0.3, sigma=2), stats.norm(0.3, 2).cdf, 1),
    "q_log_normal": (of("q_log_normal", sigma=0.5, q=0.5), stats.lognorm(0.5).cdf, 0.5),
    "q_beta": (of("q_beta", a=2, b=5, q=0.1), stats.beta(2, 5).cdf, 0.1),
}
CONSTANT = {"value": {"layers": [1, 2]}}
FORMS = {
    "constant": CONSTANT,
    **{
        name: form for group in (CONTINUOUS, COUNTED, ROUNDED) for name, (form, *_) in group.items()
    },
}


def spec_of(method: Any, parameters: dict[str, Any]) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "s",
            "program": "m:f",
            "method": method,
            "metric": {"name": "loss"},
            "parameters": parameters,
            "trials": DRAWS,
            "seed": 11,
        }
    )


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Any]]:
    """Values of each form, from one random study."""
    search, state = Search(spec_of("random", FORMS)), StudyState()
    params = []
    for state.asked in range(DRAWS):
        params.append(search.ask(state).params)
    return {name: [each[name] for each in params] for name in FORMS}


def test_every_distribution_is_here() -> None:
    assert set(Distribution) <= set(FORMS)


def test_a_constant_is_what_was_written(drawn: dict[str, list[Any]]) -> None:
    assert all(value == CONSTANT["value"] for value in drawn["constant"])


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_continuous_form(drawn: dict[str, list[Any]], name: str) -> None:
    """Kolmogorov and Smirnov find no other distribution."""
    assert stats.kstest(drawn[name], CONTINUOUS[name][1]).pvalue > LEAST_P


@pytest.mark.parametrize("name", COUNTED)
def test_a_counted_form(drawn: dict[str, list[Any]], name: str) -> None:
    fits(drawn[name], COUNTED[name][1])


@pytest.mark.parametrize("name", ROUNDED)
def test_a_rounded_form(drawn: dict[str, list[Any]], name: str) -> None:
    """Each multiple has the share of what is rounded to it."""
    _, cdf, q = ROUNDED[name]
    multiples = range(round(min(drawn[name]) / q) - 3, round(max(drawn[name]) / q) + 4)
    shares = {k: float(cdf((k + 0.5) * q) - cdf((k - 0.5) * q)) for k in multiples}
    numbers = [round(value / q) for value in drawn[name]]
    assert np.allclose([k * q for k in numbers], drawn[name])
    fits(numbers, {k: share for k, share in shares.items() if share > 0})


def fits(values: list[Any], shares: dict[Any, float]) -> None:
    """Counts as the shares have it, those of rare values together."""
    counts = Counter(values)
    assert set(counts) <= set(shares)
    often = [value for value, share in shares.items() if share * DRAWS >= 5]
    seen = [counts[value] for value in often]
    expected = [shares[value] * DRAWS for value in often]
    if (rest := DRAWS - sum(expected)) > 1:
        seen.append(DRAWS - sum(seen))
        expected.append(rest)
    scale = sum(seen) / sum(expected)
    assert stats.chisquare(seen, [each * scale for each in expected]).pvalue > LEAST_P


SEARCHED = {"lr": FORMS["log_uniform_values"], "width": FORMS["int_uniform"]} | {
    "optimizer": {"values": ["sgd", "adam"]},
    **FORMS,
    "group.momentum": {"min": 0.0, "max": 1.0, "when": {"optimizer": "sgd"}},
    "group.step": {"min": 0, "max": 9, "step": 3, "when": {"optimizer": "adam"}},
}
METHODS: list[Any] = [
    {"name": "tpe", "n_startup_trials": 4},
    {"name": "tpe", "n_startup_trials": 4, "multivariate": True, "group": True},
    pytest.param({"name": "gp", "n_startup_trials": 8}, marks=pytest.mark.long),
    {"name": "cmaes", "popsize": 4},
    {"name": "cmaes", "popsize": 4, "with_margin": True},
    {"name": "nsga2", "population_size": 4},
    {"name": "nsga3", "population_size": 4},
    "qmc",
    "random",
]


@pytest.mark.parametrize("method", METHODS, ids=spelled)
def test_every_sampler_proposes_every_form(method: Any) -> None:
    """All values lie where they may, and a replay derives them again."""
    study = Study(spec_of(method, SEARCHED))
    simulate(study, 11, 2, rebuild=False)
    found = replay(study.entries, {})
    assert found.passed, found.deviations[:3]
    for trial in study.state.trials.values():
        for dimension in study.spec.space.dimensions:
            assert (dimension.name in trial.params) == dimension.active(trial.params)
            if dimension.name in trial.params and dimension.domain.values is not None:
                assert trial.params[dimension.name] in dimension.domain
