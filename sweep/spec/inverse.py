"""From a value that a user gives back to what a sampler would have proposed for it."""

from __future__ import annotations

import math
import sys
from statistics import NormalDist
from typing import Any

from sweep.spec.domain import (
    Beta,
    Categorical,
    Constant,
    Continuous,
    Domain,
    Normal,
    Quantized,
    Stepped,
    Weighted,
    Whole,
)
from sweep.spec.latent import TAIL
from sweep.spec.suggestion import plain
from sweep.spec.value import identity

_EXACT = 2**51
"""Multiples beyond this one are as far apart as floats, or less."""


def latent_of(domain: Domain, value: Any) -> Any:
    """A latent value that `Domain.value` turns into ``value`` (to rounding); None for a constant.

    Raises:
        ValueError: ``value`` is not in the domain; says what is.
    """
    match domain:
        case Constant():
            if identity(value) != identity(domain.value()):
                raise ValueError(f"is fixed at {plain(domain.value())}, not {plain(value)}")
            return None
        case Categorical() | Weighted():
            return _choice(domain, value)
        case Whole():
            if value not in domain:
                by = f" by steps of {domain.step}" if domain.step > 1 else ""
                bounds = f"from {domain.low} to {domain.high}{by}"
                raise ValueError(f"must be a whole number {bounds}, not {plain(value)}")
            return int(value)
        case Quantized():
            return _quantized(domain, value)
        case Stepped():
            if value not in domain:
                bounds = f"from {plain(domain.low)} to {plain(domain.high)}"
                raise ValueError(
                    f"must be {bounds} by steps of {plain(domain.step)}, not {plain(value)}"
                )
            return float(value)
        case Continuous() | Normal() | Beta():
            return _real(domain, value)
        case _:
            raise TypeError(f"no inverse of {type(domain).__name__}")


def _choice(domain: Categorical | Weighted, value: Any) -> int | float:
    wanted = identity(value)
    if value not in domain:
        allowed = ", ".join(plain(member) for member in domain.values)
        raise ValueError(f"must be one of {allowed}, not {plain(value)}")
    if isinstance(domain, Categorical):
        return next(i for i, member in enumerate(domain.members) if identity(member) == wanted)
    ends = [sum(domain.probabilities[: i + 1]) for i in range(len(domain.members))]
    index = next(
        i
        for i, member in enumerate(domain.members)
        if identity(member) == wanted and domain.probabilities[i] > 0
    )
    return (ends[index] - domain.probabilities[index] / 2) / ends[-1]


def _real(domain: Continuous | Normal | Beta, value: Any, *, quantized: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise ValueError(f"must be a number, not {plain(value)}")
    number = float(value)
    if isinstance(domain, Continuous):
        if not domain.low <= number <= domain.high:
            bounds = f"from {plain(domain.low)} to {plain(domain.high)}"
            raise ValueError(f"must be {bounds}, not {plain(value)}")
        return number
    if isinstance(domain, Beta):
        from scipy.special import betainc  # start-up: only a space with a beta needs scipy

        if not 0 <= number <= 1:
            raise ValueError(f"must be from 0 to 1, not {plain(value)}")
        return min(max(float(betainc(domain.a, domain.b, number)), TAIL), 1 - TAIL)
    if number == domain.value(TAIL):
        return TAIL  # also where a narrow or tiny one has the same value at many places
    if domain.log and number <= 0:
        raise ValueError(f"must be above 0, not {plain(value)}")
    drawn = math.log(number) if domain.log else number
    share = NormalDist(domain.mu, domain.sigma).cdf(drawn)
    if min(share, 1 - share) < TAIL / 2 and not quantized:
        raise ValueError(f"lies where the distribution has no values: {plain(value)}")
    return min(max(share, TAIL), 1 - TAIL)


def _quantized(domain: Quantized, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise ValueError(f"must be a number, not {plain(value)}")
    inner = float(value)
    if domain.inner.low is not None and domain.inner.high is not None:
        inner = min(max(inner, domain.inner.low), domain.inner.high)
    elif isinstance(domain.inner, Normal) and domain.inner.log and inner <= 0:
        inner = domain.q / 4  # what is rounded down to 0
    latent = _real(domain.inner, inner, quantized=True)
    if domain.value(latent) != value and not _is_beyond_multiples(domain, value):
        raise ValueError(f"must be a multiple of {plain(domain.q)} in range, not {plain(value)}")
    return latent


def _is_beyond_multiples(domain: Quantized, value: float) -> bool:
    """Whether ``value`` is so far out in an open range that floats are wider apart than ``q``."""
    return domain.inner.high is None and abs(value) / domain.q > _EXACT


def _is_finite(value: float) -> bool:
    """Whether a float can hold ``value``."""
    return -sys.float_info.max <= value <= sys.float_info.max
