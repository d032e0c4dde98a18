"""Numbers at the ends of what a float holds, in every distribution."""

from __future__ import annotations

import json
import math

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.errors import SpecError
from sweep.search import latent
from sweep.spec import Dimension, parse_spec
from sweep.spec.distribution import Distribution, form_of
from sweep.spec.inverse import latent_of

_SIZES = [0, 5e-324, 1e-320, 2.3e-308, 1e-300, 1e-17, 1e-9, 0.1, 0.5, 1, 3.5, 40, 709.7, 710, 745]
_SIZES += [2**53, 2**53 + 1, 2**63, 2**64, 10**30, 10**300, 10**400, 1e154, 1e300, 1.7e308]
extreme = st.sampled_from(_SIZES).flatmap(lambda size: st.sampled_from([size, size, -size]))
NUMERIC = [kind for kind in Distribution if not kind.value.startswith(("constant", "categor"))]


def spec_text(parameter: dict[str, object]) -> str:
    return json.dumps(
        {
            "program": "m:f",
            "method": "random",
            "metric": {"name": "loss"},
            "trials": 1,
            "parameters": {"x": parameter},
        }
    )


def suggested(parameter: dict[str, object]) -> float:
    """A value of a valid parameter, proposed, counted and inverted; a SpecError if it is none."""
    spec = parse_spec(spec_text(parameter))
    domain = spec.parameters["x"].domain
    sampler = optuna.samplers.RandomSampler(seed=1)
    trial = optuna.create_study(sampler=sampler).ask()
    value = domain.value(latent.suggest(trial, Dimension("x", domain)))
    assert math.isfinite(value)
    latent_of(domain, value)
    if domain.values is not None:
        assert value in domain
        assert len(domain.values) == spec.space.grid_size
    return value


@pytest.mark.parametrize("kind", NUMERIC)
@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.data())
def test_extreme_numbers_are_values_or_one_line(kind: Distribution, data: st.DataObject) -> None:
    """A spec with extreme numbers suggests finite values of its domain, or is a SpecError."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    parameter: dict[str, object] = {"distribution": kind.value}
    parameter |= {key: data.draw(extreme, label=key) for key in form_of(kind).keys}
    problems: list[str] = []
    try:
        suggested(parameter)
    except SpecError as error:
        problems = str(error).splitlines()
    assert all(line.startswith("spec.yaml:1: parameters.x") for line in problems)


@pytest.mark.parametrize("kind", ["beta", "q_beta"])
@pytest.mark.parametrize(("a", "b"), [(10**300, 40), (40, 10**10), (2.3e-308, 2.3e-308)])
def test_shapes_without_an_inverse(kind: str, a: float, b: float) -> None:
    """Shapes of a beta distribution that have no computable value are refused in a line each."""
    with pytest.raises(SpecError, match=r"parameters\.x\.[ab]: must be from 1e-100 to 1e\+09, not"):
        suggested({"distribution": kind, "a": a, "b": b} | ({"q": 0.1} if kind == "q_beta" else {}))


@pytest.mark.parametrize("kind", ["q_uniform", "q_log_uniform", "q_log_uniform_values", "q_beta"])
@pytest.mark.parametrize("q", [5e-324, 1e-300, 1e-17])
def test_q_that_is_too_small(kind: str, q: float) -> None:
    """A ``q`` whose multiples no float tells apart is refused in a line that names the key."""
    bounds = {} if kind == "q_beta" else {"min": 1, "max": 2}
    with pytest.raises(
        SpecError, match=r"^spec\.yaml:1: parameters\.x\.q: .* is too small [^\n]*$"
    ):
        parse_spec(spec_text({"distribution": kind, "q": q, **bounds}))


@pytest.mark.parametrize("digits", ["9" * 400, "9" * 4000, "0x" + "f" * 5000, "1e400"])
@pytest.mark.parametrize("where", ["default", "max", "step", "value"])
def test_huge_numbers_are_a_spec_or_an_error(digits: str, where: str) -> None:
    """An integer that no float holds is a SpecError where a number is due."""
    keys = {"value": "value: {}", "default": "min: 0.0, max: 1.0, default: {}"}
    keys |= {"max": "min: 0.0, max: {}", "step": "min: 0, max: 9, step: {}"}
    text = "program: m:f\nmethod: random\nmetric: {name: loss}\ntrials: 1\nparameters: "
    try:
        parse_spec(text + "{x: {" + keys[where].format(digits) + "}}")
    except SpecError:
        return
    assert where in ("value", "step")
