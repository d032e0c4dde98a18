"""What values a parameter can have, and how a sampler gets at them.

A sampler knows ranges and choices only. A domain therefore has two sides: the *latent* range that a
sampler proposes a value from, and `Domain.value`, which turns that into the value the user sees.
Normal, beta and weighted distributions are drawn from (0, 1) and mapped by their inverse
cumulative distribution function, so no sampler has to know them.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from statistics import NormalDist
from typing import Any

from sweep.spec.latent import UNIT, Choice, Fixed, Integer, Latent, Real
from sweep.spec.value import fresh, identity


class Domain(ABC):
    """The values of one parameter."""

    @property
    @abstractmethod
    def latent(self) -> Latent:
        """What a sampler chooses from."""

    @abstractmethod
    def value(self, latent: Any) -> Any:
        """The user's value for a latent one."""

    @property
    def values(self) -> Sequence[Any] | None:
        """Every value once and in order, where they can be counted; None for a continuous one."""
        return None

    def __contains__(self, value: Any) -> bool:
        wanted = identity(value)
        return any(identity(each) == wanted for each in self.values or ())


@dataclass(frozen=True)
class Constant(Domain):
    """Always the same value."""

    constant: Any

    @property
    def latent(self) -> Fixed:
        return Fixed()

    def value(self, latent: None = None) -> Any:
        return fresh(self.constant)

    @property
    def values(self) -> Sequence[Any]:
        return (self.value(),)


@dataclass(frozen=True)
class Categorical(Domain):
    """One of several values, proposed by index: the values may be of any type."""

    members: tuple[Any, ...]

    @property
    def latent(self) -> Choice:
        return Choice(len(self.members))

    def value(self, latent: int) -> Any:
        return fresh(self.members[latent])

    @property
    def values(self) -> Sequence[Any]:
        return self.members


@dataclass(frozen=True)
class Weighted(Domain):
    """One of several values, each with its probability (they need not sum to exactly 1)."""

    members: tuple[Any, ...]
    probabilities: tuple[float, ...]

    @property
    def latent(self) -> Real:
        return UNIT

    @cached_property
    def _ends(self) -> list[float]:
        return list(itertools.accumulate(self.probabilities))

    def value(self, latent: float) -> Any:
        index = bisect_right(self._ends, latent * self._ends[-1])
        return fresh(self.members[min(index, len(self.members) - 1)])

    @property
    def values(self) -> Sequence[Any]:
        return [
            member
            for member, probability in zip(self.members, self.probabilities, strict=True)
            if probability > 0
        ]


@dataclass(frozen=True)
class Whole(Domain):
    """Whole numbers from ``low`` by ``step`` up to ``high``, both included if a step meets it."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    @property
    def latent(self) -> Integer:
        return Integer(self.low, self.values[-1], self.log, self.step)

    def value(self, latent: int) -> int:
        return int(latent)

    @property
    def values(self) -> Sequence[int]:
        return range(self.low, self.high + 1, self.step)

    def __contains__(self, value: Any) -> bool:
        return not isinstance(value, bool) and value in self.values


@dataclass(frozen=True)
class Continuous(Domain):
    """A real number from ``low`` to ``high``; ``log``: its logarithm is uniform."""

    low: float
    high: float
    log: bool = False

    @property
    def latent(self) -> Real:
        return Real(self.low, self.high, self.log)

    def value(self, latent: float) -> float:
        return float(latent)


@dataclass(frozen=True)
class Stepped(Domain):
    """Numbers from ``low`` by ``step`` up to ``high``, as one would write them in decimals."""

    low: float
    high: float
    step: float

    @property
    def latent(self) -> Real:
        return Real(self.low, self._at(self._last), step=self.step)

    def value(self, latent: float) -> float:
        return self._at(self._nearest(latent))

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        inside = math.isfinite(value) and 0 <= self._nearest(value) <= self._last
        return inside and self.value(value) == value

    @property
    def values(self) -> Sequence[float]:
        return Steps(self, self._last + 1)

    @cached_property
    def _last(self) -> int:
        return int((_decimal(self.high) - _decimal(self.low)) // _decimal(self.step))

    def _nearest(self, value: float) -> int:
        return round((value - self.low) / self.step)

    def _at(self, number: int) -> float:
        return float(_decimal(self.low) + number * _decimal(self.step))


@dataclass(frozen=True)
class Steps(Sequence[float]):
    """The first ``size`` values of a stepped domain, made when they are asked for."""

    domain: Stepped
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        places = range(self.size)[index]
        return (
            [self.domain._at(n) for n in places]
            if isinstance(places, range)
            else (self.domain._at(places))
        )


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))


@dataclass(frozen=True)
class Normal(Domain):
    """A normal distribution; ``log``: of the logarithm, as a log-normal one has it."""

    mu: float
    sigma: float
    log: bool = False
    low = high = None

    @property
    def latent(self) -> Real:
        return UNIT

    def value(self, latent: float) -> float:
        drawn = NormalDist(self.mu, self.sigma).inv_cdf(latent)
        return math.exp(drawn) if self.log else drawn


@dataclass(frozen=True)
class Beta(Domain):
    """A beta distribution over (0, 1)."""

    a: float
    b: float
    low = 0.0
    high = 1.0

    @property
    def latent(self) -> Real:
        return UNIT

    def value(self, latent: float) -> float:
        from scipy.special import betaincinv  # start-up: only a space with a beta needs scipy

        return float(betaincinv(self.a, self.b, latent))


@dataclass(frozen=True)
class Quantized(Domain):
    """Another domain rounded to multiples of ``q``: ``round(x / q) * q``, as W&B defines it.

    The nearest multiple may lie up to ``q / 2`` outside the other domain's bounds. It is computed
    in decimals, so that a ``q`` of 0.1 gives 0.3 and not 0.30000000000000004; an int stays one.
    """

    inner: Continuous | Normal | Beta
    q: int | float

    @property
    def latent(self) -> Latent:
        return self.inner.latent

    def value(self, latent: float) -> int | float:
        return multiple(round(self.inner.value(latent) / self.q), self.q)

    @property
    def values(self) -> Sequence[int | float] | None:
        if self.inner.low is None or self.inner.high is None:
            return None
        return Multiples(round(self.inner.low / self.q), round(self.inner.high / self.q), self.q)

    def __contains__(self, value: Any) -> bool:
        return self.values is not None and value in self.values


def multiple(number: int, q: int | float) -> int | float:
    """``number * q`` as one would write it in decimals."""
    return number * q if isinstance(q, int) else float(Decimal(repr(q)) * number)


@dataclass(frozen=True)
class Multiples(Sequence[int | float]):
    """The multiples of ``q`` from ``first * q`` to ``last * q``, made when they are asked for."""

    first: int
    last: int
    q: int | float

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __getitem__(self, index: Any) -> Any:
        numbers = range(self.first, self.last + 1)[index]
        if isinstance(numbers, range):
            return Multiples(numbers.start, numbers.stop - 1, self.q)
        return multiple(numbers, self.q)

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not math.isfinite(value / self.q):
            return False
        number = round(value / self.q)
        return self.first <= number <= self.last and multiple(number, self.q) == value
