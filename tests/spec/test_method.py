"""``method:``: a sampler's name, alone or with its options."""

from __future__ import annotations

from typing import Any

import pytest

from sweep.errors import SpecError
from sweep.spec import Pbt, StudySpec, difference, parse_spec

REST = """
program: a:b
metric: {name: loss}
trials: 100
parameters:
  lr: {min: 0.1, max: 1.0}
"""


def spec(method: str, rest: str = REST) -> StudySpec:
    return parse_spec(f"method: {method}{rest}", "s.yaml")


def problem(method: str, rest: str = REST) -> str:
    with pytest.raises(SpecError) as caught:
        spec(method, rest)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "name", "options"),
    [
        ("tpe", "tpe", {}),
        ("bayes", "tpe", {}),
        ("{name: bayes, multivariate: true, group: true}", "tpe", {"multivariate": 1, "group": 1}),
        ("{name: gp, deterministic_objective: true}", "gp", {"deterministic_objective": True}),
        ("{name: cmaes, popsize: 8}", "cmaes", {"popsize": 8}),
        ("{name: nsga2, population_size: 10, crossover: sbx}", "nsga2", None),
        ("{name: nsga3, population_size: 10, dividing_parameter: 4}", "nsga3", None),
        ("{name: qmc, qmc_type: halton}", "qmc", {"qmc_type": "halton"}),
        ("my.samplers:make", "my.samplers:make", {}),
        (
            "{name: 'my:Sampler', depth: 3, kind: [1, 2]}",
            "my:Sampler",
            {"depth": 3, "kind": [1, 2]},
        ),
    ],
)
def test_forms(written: str, name: str, options: dict[str, Any] | None) -> None:
    """A name and a mapping mean the same where there are no options, and come back from JSON."""
    read = spec(written)
    assert read.method.name == name
    assert options is None or read.method.options == options
    again = StudySpec.model_validate_json(read.model_dump_json())
    assert again == read
    assert difference(read, again) == []


def test_a_name_alone_is_kept_as_a_name() -> None:
    """So a journal of a version that knew names only reads the same."""
    assert spec("bayes").model_dump(mode="json")["method"] == "tpe"
    assert spec("{name: tpe}").model_dump(mode="json")["method"] == "tpe"


def test_another_option_is_a_difference() -> None:
    changes = difference(spec("tpe"), spec("{name: tpe, multivariate: true}"))
    assert [change.path for change in changes] == ["method"]
    changes = difference(spec("{name: cmaes, popsize: 8}"), spec("{name: cmaes, popsize: 9}"))
    assert [str(change) for change in changes] == ["method.popsize: 8 -> 9"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("tpee", "method: there is no tpee; did you mean tpe?"),
        ("{name: cmaez}", "method.name: there is no cmaez; did you mean cmaes?"),
        ("{multivariate: true}", "method.name: is required: the sampler that the options are for"),
        (
            "{name: tpe, multivariat: true}",
            "method.multivariat: unknown key; did you mean multivariate?",
        ),
        ("{name: random, n_startup_trials: 3}", "method.n_startup_trials: unknown key"),
        (
            "{name: tpe, n_startup_trials: few}",
            "method.n_startup_trials: must be a whole number, not few",
        ),
        ("{name: tpe, group: true}", "s.yaml:1: method.group: needs multivariate: true beside it"),
        ("{name: cmaes, popsize: 3}", "method.popsize: must be 4 or more, not 3"),
        (
            "{name: cmaes, with_margin: true, lr_adapt: true}",
            "method.lr_adapt: cannot be beside with_margin: keep one",
        ),
        (
            "{name: cmaes, restart_strategy: ipop}",
            "method.restart_strategy: is not in Optuna any more: a factory can take it from "
            "OptunaHub",
        ),
        (
            "{name: nsga2, crossover: sbxx}",
            "method.crossover: there is no sbxx; did you mean sbx?",
        ),
        ("{name: nsga2, mutation_prob: 2}", "method.mutation_prob: must be between 0 and 1, not 2"),
        (
            "{name: nsga2, population_size: 200}",
            "method: a population of 200 needs more than 100 trials, which would all be drawn at "
            "random: write {name: nsga2, population_size: 20}",
        ),
        (
            "{name: qmc, qmc_type: soboll}",
            "method.qmc_type: there is no soboll; did you mean sobol?",
        ),
        (
            "brute",
            "parameters.lr: is continuous, and method brute needs an end: use values, q_uniform or "
            "whole numbers",
        ),
    ],
)
def test_mistakes(written: str, message: str) -> None:
    """One line each, that says where and what to write instead."""
    assert message in problem(written)
    assert problem(written).count("\n") == 0


MEMBERS = REST.replace("trials: 100", "trials: 8")


@pytest.mark.parametrize(
    ("written", "rest", "message"),
    [
        (
            "{name: pbt, population_size: 30}",
            "",
            "s.yaml:1: method.population_size: a population of 30 needs as many trials, not 8: "
            "write trials: 30",
        ),
        (
            "{name: pbt, population_size: 4}",
            "",
            "method.population_size: a population of 4 has 4 trials, not 8: write trials: 4 "
            "(forks that take a place are not counted)",
        ),
        (
            "{name: pbt, quantile_fraction: 0.1}",
            "",
            "method.quantile_fraction: 0.1 of 8 trials is not one: write 0.13, or more trials",
        ),
        (
            "{name: pbt, quantile_fraction: 0.6}",
            "",
            "method.quantile_fraction: must be 0.5 or less",
        ),
        (
            "{name: pbt, perturbation_interval: 0}",
            "",
            "method.perturbation_interval: must be 1 or more, not 0",
        ),
        ("{name: pbt, interval: 5}", "", "method.interval: is called perturbation_interval here"),
        (
            "{name: pbt, perturbation_factors: [0.8, 0]}",
            "",
            "method.perturbation_factors[1]: must be above 0, not 0",
        ),
        ("{name: pbt, resample_probability: 2}", "", "must be between 0 and 1, not 2"),
        (
            "pbt",
            "early_terminate: {type: median}",
            "early_terminate: cannot be beside method pbt, which ends what does badly itself: "
            "remove it",
        ),
        (
            "pbt",
            "checkpoint: none",
            "checkpoint: none leaves method pbt nothing to fork from: write every: {epochs: 1}",
        ),
        (
            "pbt",
            "checkpoint: {every: none}",
            "checkpoint: none leaves method pbt nothing to fork from: write every: {epochs: 1}",
        ),
    ],
)
def test_a_population_that_cannot_be_trained(written: str, rest: str, message: str) -> None:
    found = problem(written, MEMBERS + rest)
    assert message in found
    assert found.count("\n") == 0


def test_a_population_compares_by_one_metric() -> None:
    several = MEMBERS.replace("{name: loss}", "[{name: loss}, {name: size}]")
    expected = "method: pbt compares members by one metric, and there are 2: use nsga2 or tpe"
    assert expected in problem("pbt", several)
    found = problem("pbt", MEMBERS + "constraints: [size <= 3]")
    assert "constraints: mean nothing to method pbt" in found


def test_a_population_of_one_or_with_nothing_to_explore() -> None:
    alone = REST.replace("trials: 100", "trials: 1")
    assert "trials: must be 2 or more with method pbt, not 1" in problem("pbt", alone)
    constant = MEMBERS.replace("{min: 0.1, max: 1.0}", "{value: 3}")
    assert "parameters: are all constant, so method pbt has nothing to explore" in problem(
        "pbt", constant
    )


def test_a_population_that_can_be_trained() -> None:
    """Options and defaults are those of Ray Tune's; they come back from JSON."""
    written = (
        "{name: pbt, population_size: 8, perturbation_factors: [0.5, 2], quantile_fraction: 0.5}"
    )
    read = spec(written, MEMBERS)
    assert StudySpec.model_validate_json(read.model_dump_json()) == read
    plain = spec("pbt", MEMBERS).method
    assert isinstance(plain, Pbt)
    assert (plain.interval, plain.quantile, plain.resample) == (5, 0.25, 0.25)
    assert plain.factors == (0.8, 1.2)
    none = spec("{name: pbt, resample_probability: 0}", MEMBERS).method
    assert isinstance(none, Pbt)
    assert none.resample == 0.0


def test_the_default_population_counts_too() -> None:
    few = REST.replace("trials: 100", "trials: 20")
    assert "method: a population of 50 needs more than 20 trials" in problem("nsga2", few)
    assert "population_size: 4" in problem("nsga3", few)


def test_a_method_that_ends_needs_no_trials() -> None:
    rest = REST.replace("trials: 100\n", "").replace("{min: 0.1, max: 1.0}", "{values: [1, 2]}")
    assert spec("brute", rest).trials is None
    assert "trials: is required" in problem("tpe", rest)
