"""Values of parameters for what a sampler proposes."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_strategy import calm, continuous, counted, quantized, steps

from sweep.spec import Choice, Fixed, Integer, Parameter, Real
from sweep.spec.domain import Beta, Continuous, Multiples, Normal, Quantized, Weighted
from sweep.spec.value import identity


def domain_of(**written):
    return Parameter.model_validate(written).domain


@pytest.mark.parametrize(
    ("written", "latent"),
    [
        ({"value": 3}, Fixed()),
        ({"values": ["a", "b", "c"]}, Choice(3)),
        ({"min": 1, "max": 5}, Integer(1, 5)),
        ({"min": 1, "max": 5, "distribution": "int_log_uniform_values"}, Integer(1, 5, log=True)),
        ({"min": 1, "max": 5.0}, Real(1, 5)),
        ({"min": 1, "max": 5, "distribution": "uniform"}, Real(1, 5)),
        (
            {"min": 1e-4, "max": 0.1, "distribution": "log_uniform_values"},
            Real(1e-4, 0.1, log=True),
        ),
        (
            {"min": -3, "max": 0, "distribution": "log_uniform"},
            Real(math.exp(-3), 1.0, log=True),
        ),
        (
            {"min": 0, "max": 3, "distribution": "inv_log_uniform"},
            Real(math.exp(-3), 1.0, log=True),
        ),
        (
            {"min": 0.5, "max": 2, "distribution": "inv_log_uniform_values"},
            Real(0.5, 2, log=True),
        ),
        ({"min": 0, "max": 9, "distribution": "q_uniform", "q": 3}, Real(0, 9)),
    ],
)
def test_latent(written, latent):
    """A sampler is offered the plainest range that the distribution is drawn from."""
    assert domain_of(**written).latent == latent


@calm
@given(continuous | counted | quantized, st.floats(0, 1))
def test_value_in_domain(written, share):
    """Whatever a sampler proposes inside the latent range is a value of the domain."""
    domain = domain_of(**written)
    match domain.latent:
        case Real(low=low, high=high):
            latent = min(max(low + share * (high - low), low), high)
        case Integer(low=low, high=high):
            latent = low + round(share * (high - low))
        case Choice(size=size):
            latent = min(int(share * size), size - 1)
        case _:
            latent = None
    value = domain.value(latent)
    if domain.values is not None:
        assert value in domain
    else:
        assert isinstance(value, float)
        assert math.isfinite(value)
        if isinstance(domain, Continuous | Beta):
            assert domain.low <= value <= domain.high


@pytest.mark.parametrize(
    ("domain", "u", "value"),
    [
        (Normal(3, 2), 0.5, 3.0),
        (Normal(0, 1), 0.975, 1.959963985),
        (Normal(0, 1, log=True), 0.975, math.exp(1.959963985)),
        (Beta(1, 1), 0.3, 0.3),
        (Beta(2, 1), 0.49, 0.7),
        (Weighted(("a", "b", "c"), (0.2, 0.0, 0.8)), 0.1999, "a"),
        (Weighted(("a", "b", "c"), (0.2, 0.0, 0.8)), 0.2001, "c"),
        (Weighted(("a", "b"), (1.0, 0.0)), 1 - 1e-9, "a"),
        (Weighted(("a", "b"), (0.0, 1.0)), 1e-9, "b"),
    ],
)
def test_inverse_cdf(domain, u, value):
    """A uniform latent value becomes the quantile of the distribution."""
    assert domain.value(u) == (pytest.approx(value) if isinstance(value, float) else value)


def test_normal_is_normal():
    """Evenly spread latent values have the mean and the deviation that were asked for."""
    drawn = [Normal(5, 2).value((n + 0.5) / 1000) for n in range(1000)]
    assert statistics.fmean(drawn) == pytest.approx(5, abs=0.01)
    assert statistics.stdev(drawn) == pytest.approx(2, abs=0.02)


def test_quantized_is_round():
    """Multiples are what one would write: 0.3, and whole numbers for a whole q."""
    assert Quantized(Continuous(0, 1), 0.1).value(0.31) == 0.3
    value = Quantized(Continuous(0, 100), 32).value(70.0)
    assert value == 64
    assert isinstance(value, int)


def test_quantized_bounds():
    """The multiple nearest to a bound counts, as in W&B, though it lies outside of it."""
    assert list(Quantized(Continuous(0.1, 1.1), 0.5).values) == [0.0, 0.5, 1.0]
    assert Quantized(Normal(0, 1), 1).values is None


@calm
@given(st.integers(-50, 50), st.integers(0, 50), steps)
def test_multiples_contain_themselves(first, count, q):
    """Multiples are each in their own sequence and once only."""
    multiples = Multiples(first, first + count, q)
    assert all(value in multiples for value in multiples)
    assert len(set(multiples)) == len(multiples) == count + 1
    assert multiples[1:] == Multiples(first + 1, first + count, q)


def test_values_are_copies():
    """A trial that changes a list it was given changes no other trial's."""
    domain = domain_of(values=[[1, 2], [3]])
    domain.value(0).append(9)
    assert domain.value(0) == [1, 2]


def test_identity():
    """1 and 1.0 are the same value; 1 and true, or "1", are not."""
    assert identity(1) == identity(1.0)
    assert identity([1, {"a": 2}]) == identity((1.0, {"a": 2.0}))
    assert len({identity(1), identity(True), identity("1"), identity([1]), identity(None)}) == 5
    with pytest.raises(TypeError):
        identity({1, 2})


def test_large_ranges():
    """Large ranges are counted without being made."""
    assert len(domain_of(min=0, max=2**50).values) == 2**50 + 1
    assert 2**49 in domain_of(min=0, max=2**50)
    assert 0.5 in domain_of(min=0, max=1e6, distribution="q_uniform", q=0.5)
