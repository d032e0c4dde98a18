"""Dimensions, their conditions and their order."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_strategy import calm, parameter_sets

from sweep.spec import Choice, Dimension, Fixed, Integer, Parameter, Real, Space
from sweep.spec.value import identity


def space_of(parameters: dict[str, Any]) -> Space:
    return Space.of({n: Parameter.model_validate(each) for n, each in parameters.items()})


def chooser(seed: int):
    """Choose latent values at random."""
    generator = random.Random(seed)

    def choose(dimension: Dimension) -> Any:
        match dimension.domain.latent:
            case Fixed():
                return dimension.domain.value(None)
            case Real(low=low, high=high):
                return dimension.domain.value(generator.uniform(low, high))
            case Integer(low=low, high=high):
                return dimension.domain.value(generator.randint(low, high))
            case Choice(size=size):
                return dimension.domain.value(generator.randrange(size))

    return choose


@calm
@given(parameter_sets(), st.integers(0, 2**32))
def test_complete(parameters, seed):
    """Exactly the parameters whose conditions hold are there, each with a value of its domain."""
    space = space_of(parameters)
    params = space.complete(chooser(seed))
    for dimension in space.dimensions:
        holds = all(
            parent in params and identity(params[parent]) in {identity(one) for one in values}
            for parent, values in dimension.when
        )
        assert (dimension.name in params) == holds
        if holds and dimension.domain.values is not None:
            assert params[dimension.name] in dimension.domain


@calm
@given(parameter_sets())
def test_order(parameters):
    """A dimension comes after all that it depends on, and none is lost."""
    seen: set[str] = set()
    for dimension in space_of(parameters).dimensions:
        assert {parent for parent, _ in dimension.when} <= seen
        seen.add(dimension.name)
    assert seen == set(parameters)


@calm
@given(parameter_sets(finite=True))
def test_grid(parameters):
    """The grid is each distinct valid configuration once, and its size is known beforehand."""
    space = space_of(parameters)
    found = [identity(params) for params in space.grid()]
    assert len(found) == len(set(found)) == space.grid_size
    domains = [dimension.domain.values for dimension in space.dimensions]
    expected = set()
    for combination in itertools.product(*domains):
        values = {d.name: v for d, v in zip(space.dimensions, combination, strict=True)}
        expected.add(identity(space.complete(lambda d, values=values: values[d.name])))
    assert set(found) == expected


def test_grid_order():
    """The last dimension changes fastest, and an inactive one is absent."""
    space = space_of(
        {
            "momentum": {"values": [0, 0.9], "when": {"optimizer": "sgd"}},
            "optimizer": {"values": ["adam", "sgd"]},
            "layers": {"min": 1, "max": 2},
        }
    )
    assert [dimension.name for dimension in space.dimensions] == ["optimizer", "momentum", "layers"]
    assert list(space.grid()) == [
        {"optimizer": "adam", "layers": 1},
        {"optimizer": "adam", "layers": 2},
        {"optimizer": "sgd", "momentum": 0, "layers": 1},
        {"optimizer": "sgd", "momentum": 0, "layers": 2},
        {"optimizer": "sgd", "momentum": 0.9, "layers": 1},
        {"optimizer": "sgd", "momentum": 0.9, "layers": 2},
    ]


def test_grid_size_of_a_large_grid():
    """A grid too large to walk is counted at once."""
    parameters: dict[str, Any] = {f"p{n}": {"min": 0, "max": 999} for n in range(12)}
    parameters["q"] = {"values": [1, 2], "when": {"p0": [3, 4], "p1": 5}}
    assert space_of(parameters).grid_size == 1000**12 + 2 * 1000**10


def test_continuous_has_no_grid():
    """A continuous dimension has no grid, even where a condition hides it."""
    space = space_of({"a": {"value": 1}, "b": {"min": 0.0, "max": 1.0}})
    assert space.grid_size is None
    with pytest.raises(ValueError, match="counted"):
        space.grid()


def test_condition_on_an_absent_parent_is_false():
    """What depends on a parameter that is not there is not there either."""
    space = space_of(
        {
            "a": {"values": [1, 2]},
            "b": {"values": [1, 2], "when": {"a": 1}},
            "c": {"values": [1, 2], "when": {"b": [1, 2]}},
        }
    )
    assert space.complete(lambda dimension: 2) == {"a": 2}
    assert space.grid_size == 5


def test_condition_tells_true_from_one():
    """``when: {a: 1}`` does not hold for true."""
    dimension = Dimension("b", Parameter.model_validate({"value": 0}).domain, (("a", (1,)),))
    assert dimension.active({"a": 1.0})
    assert not dimension.active({"a": True})
    assert not dimension.active({})


def test_a_thousand_dimensions():
    """A grid of a thousand dimensions is counted and begun, also where half are conditional."""
    parameters: dict[str, Any] = {f"p{n}": {"values": [1, 2, 3]} for n in range(500)}
    parameters |= {f"w{n}": {"values": [1, 2, 3], "when": {f"p{n}": 1}} for n in range(500)}
    space = space_of(parameters)
    assert space.grid_size == 5**500
    assert len(next(space.grid())) == 1000
