"""Exploration: near the given parameters, and always in the space."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.search.exploration import drawn, explored, perturbed
from sweep.search.fork import vary
from sweep.spec import Domain, Parameter, Space
from sweep.spec.domain import Stepped


def domain(**written: Any) -> Domain:
    return Parameter.model_validate(written).domain


def space(**parameters: dict[str, Any]) -> Space:
    return Space.of({name: Parameter.model_validate(each) for name, each in parameters.items()})


NUMBERS = {"min": 1, "max": 64}
PROPORTION = {"min": 0.0, "max": 1.0}
RATE = {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0}
TENTHS = {"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.1}
SIZES = {"values": [64, 16, 32]}
QUARTERS = Stepped(0.0, 1.0, 0.25)


@pytest.mark.parametrize(
    ("written", "value", "factor", "becomes"),
    [
        (PROPORTION, 0.5, 1.2, 0.6),
        (PROPORTION, 0.9, 1.2, 1.0),
        (PROPORTION, 0.0, 1.2, 0.0),
        ({"min": -1.0, "max": 1.0}, -0.5, 1.2, -0.6),
        (RATE, 0.1, 0.8, 0.08),
        (RATE, 1.1e-4, 0.8, 1e-4),
        (NUMBERS, 50, 0.8, 40),
        (NUMBERS, 50, 1.2, 60),
        (NUMBERS, 2, 1.2, 3),
        (NUMBERS, 2, 0.8, 1),
        (NUMBERS, 1, 0.8, 1),
        (NUMBERS, 64, 1.2, 64),
        ({"min": -9, "max": 9}, -2, 1.2, -3),
        ({"min": -9, "max": 9}, 0, 0.8, -1),
        (TENTHS, 0.5, 1.2, 0.6),
        (TENTHS, 0.1, 1.2, 0.2),
        (TENTHS, 1.0, 1.2, 1.0),
        ({"min": 1, "max": 9, "step": 4}, 5, 1.2, 9),
        (SIZES, 32, 1.2, 64),
        (SIZES, 32, 0.8, 16),
        (SIZES, 16, 0.8, 16),
        (SIZES, 16, 4.0, 64),
        ({"values": ["sgd", "adam"]}, "sgd", 1.2, "sgd"),
        ({"values": [True, False]}, True, 0.8, True),
        ({"values": [1, 2, 3], "probabilities": [0.5, 0, 0.5]}, 1, 1.2, 3),
    ],
)
def test_numbers_are_multiplied_and_brought_back(
    written: dict[str, Any], value: Any, factor: float, becomes: Any
) -> None:
    """By the factor, into the range, by one step at least; choices of words stay."""
    moved = perturbed(domain(**written), value, factor)
    assert moved == pytest.approx(becomes)
    assert type(moved) is type(becomes)


@pytest.mark.parametrize(
    ("value", "factor", "becomes"), [(0.5, 1.2, 0.75), (0.25, 0.8, 0.0), (1.0, 1.2, 1.0)]
)
def test_a_number_of_a_space_function_keeps_its_steps(
    value: float, factor: float, becomes: float
) -> None:
    assert perturbed(QUARTERS, value, factor) == becomes
    assert drawn(QUARTERS.latent, lambda: 0.7) == 0.75


def chances(*given: float) -> Iterator[float]:
    yield from given


def test_each_parameter_is_resampled_or_perturbed() -> None:
    """A first draw decides, below the probability for a new value, else for one of the factors."""
    searched = space(a=PROPORTION, b=PROPORTION, c={"value": 3})
    chance = chances(0.1, 0.75, 0.3, 0.9).__next__
    found = explored(
        searched, {"a": 0.5, "b": 0.5, "c": 3}, factors=(0.8, 1.2), resample=0.25, chance=chance
    )
    assert found == {"a": 0.75, "b": 0.6, "c": 3}


def test_a_parameter_that_becomes_active_is_drawn() -> None:
    """And one whose condition no longer holds is left out."""
    searched = space(
        kind={"values": ["x", "y"]},
        of_x={**PROPORTION, "when": {"kind": "x"}},
        of_y={**NUMBERS, "when": {"kind": "y"}},
    )
    chance = chances(0.0, 0.9, 0.5).__next__
    found = explored(
        searched, {"kind": "x", "of_x": 0.5}, factors=(0.8, 1.2), resample=0.25, chance=chance
    )
    assert found == {"kind": "y", "of_y": 33}


@pytest.mark.parametrize(("written", "value"), [(PROPORTION, 2.0), (NUMBERS, 65), (SIZES, 48)])
def test_a_value_outside_of_its_range_is_drawn_anew(written: dict[str, Any], value: Any) -> None:
    """That of a member from before the space was changed, say."""
    searched = space(a=written)
    chance = chances(0.9, 0.9).__next__
    found = explored(searched, {"a": value}, factors=(0.8,), resample=0.0, chance=chance)
    assert found == {"a": searched.dimensions[0].domain.value(drawn_at(searched, 0.9))}


def drawn_at(searched: Space, share: float) -> Any:
    return drawn(searched.dimensions[0].domain.latent, lambda: share)


def ranged(name: str, low: float, width: float, **more: Any) -> dict[str, Any]:
    return {"distribution": name, "min": low, "max": low + width, **more}


numbers = st.floats(0.01, 5)
steps = st.sampled_from([1, 2, 0.1, 0.25])
forms = st.one_of(
    st.builds(lambda low, width: {"min": low, "max": low + width}, *[st.integers(0, 9)] * 2),
    st.builds(lambda low, width: {"min": -low, "max": width}, numbers, numbers),
    st.builds(
        ranged,
        st.sampled_from(["log_uniform_values", "inv_log_uniform_values", "inv_log_uniform"]),
        numbers,
        numbers,
    ),
    st.builds(
        lambda name, low, width, q: ranged(name, low, 2 * q + width, q=q),
        st.sampled_from(["q_uniform", "q_log_uniform_values"]),
        numbers,
        numbers,
        steps,
    ),
    st.builds(
        lambda name, mu, sigma: {"distribution": name, "mu": mu, "sigma": sigma},
        st.sampled_from(["normal", "log_normal"]),
        st.floats(-2, 2),
        numbers,
    ),
    st.builds(
        lambda name, mu, sigma, q: {"distribution": name, "mu": mu, "sigma": sigma, "q": q},
        st.sampled_from(["q_normal", "q_log_normal"]),
        st.floats(-2, 2),
        st.floats(0.01, 1),
        steps,
    ),
    st.builds(lambda a, b: {"distribution": "beta", "a": a, "b": b}, numbers, numbers),
    st.builds(lambda a, q: {"distribution": "q_beta", "a": a, "b": 2, "q": q}, numbers, steps),
    st.just({"min": 1, "max": 12, "step": 4}),
    st.sampled_from([SIZES, {"value": "x"}, {"values": ["x", 1, None]}, {"values": [0.5, -2]}]),
    st.just({"values": [1, 2, 3], "probabilities": [0.5, 0, 0.5]}),
)
"""Parameters of every distribution, not all of them valid."""


def is_valid(written: dict[str, Any]) -> bool:
    try:
        return bool(Parameter.model_validate(written))
    except ValidationError:
        return False


@given(
    st.lists(forms.filter(is_valid), min_size=1, max_size=3),
    st.lists(st.floats(0.01, 10), min_size=1, max_size=3),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=60)
def test_explored_parameters_lie_in_the_space(
    written: list[dict[str, Any]], factors: list[float], resample: float, seed: int
) -> None:
    """Whatever the space, the parameters and the factors: a sampler could have proposed them."""
    searched = space(**{f"p{place}": each for place, each in enumerate(written)})
    chance = random.Random(seed).random
    params = searched.complete(lambda each: each.domain.value(drawn(each.domain.latent, chance)))
    for _ in range(5):
        params = explored(searched, params, factors=factors, resample=resample, chance=chance)
        varied = vary(searched, params, {})
        assert varied.inside
        assert varied.params == params


@pytest.mark.parametrize("written", [PROPORTION, RATE, NUMBERS, TENTHS])
def test_draws_come_from_everywhere(written: dict[str, Any]) -> None:
    """Neither end of a range is left out."""
    searched = domain(**written)
    ends = [searched.value(drawn(searched.latent, lambda at=at: at)) for at in (0.0, 1 - 2**-53)]
    assert ends == pytest.approx([written["min"], written["max"]])
