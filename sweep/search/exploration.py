"""Other parameters near given ones: the "explore" of population based training.

Jaderberg et al., arXiv 1711.09846, section 4: each parameter is perturbed by a factor, or drawn
anew. As in Ray Tune, values in an order move to a neighbour at least.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sweep.search.define import DefinedSpace
from sweep.spec import Choice, Dimension, Domain, Fixed, Integer, Latent, Real, Space
from sweep.spec.domain import Categorical, Quantized, Stepped, Weighted, multiple
from sweep.spec.inverse import latent_of

Chance = Callable[[], float]
"""Gives numbers from 0 up to, not including, 1."""


def explored(
    space: Space | DefinedSpace,
    params: Mapping[str, Any],
    *,
    factors: Sequence[float],
    resample: float,
    chance: Chance,
) -> dict[str, Any]:
    """Parameters of ``space`` near ``params``.

    Each is drawn anew with the probability ``resample``, and so is one that ``params`` have not, or
    not in its range. Else a number is multiplied by one of ``factors`` and brought back into its
    range and to its steps, of which it moves by one at least, as far as the range goes. Choices
    among numbers move along their order; others stay.
    """

    def choose(dimension: Dimension) -> Any:
        domain = dimension.domain
        if isinstance(domain.latent, Fixed):
            return domain.value(None)
        given = dimension.name in params and _lies_in(domain, params[dimension.name])
        if not given or chance() < resample:
            return domain.value(drawn(domain.latent, chance))
        factor = factors[int(chance() * len(factors))]
        return perturbed(domain, params[dimension.name], factor)

    return space.complete(choose)


def _lies_in(domain: Domain, value: Any) -> bool:
    try:
        latent_of(domain, value)
    except ValueError:
        return False
    return True


def drawn(latent: Latent, chance: Chance) -> Any:
    """A value of a latent range, each as likely as any other (on its own scale)."""
    match latent:
        case Fixed():
            return None
        case Choice(size=size):
            return int(chance() * size)
        case Integer(log=True) as whole:
            width = math.log(whole.high + 1) - math.log(whole.low)
            return min(max(int(whole.low * math.exp(width * chance())), whole.low), whole.high)
        case Integer() as whole:
            steps = (whole.high - whole.low) // whole.step
            return whole.low + whole.step * min(int(chance() * (steps + 1)), steps)
        case Real(log=True) as real:
            number = real.low * math.exp((math.log(real.high) - math.log(real.low)) * chance())
            return min(max(number, real.low), real.high)
        case Real(step=float(step)) as real:
            steps = round((real.high - real.low) / step)
            return real.low + step * min(int(chance() * (steps + 1)), steps)
        case Real() as real:
            share = chance()
            return min(max(real.low * (1 - share) + real.high * share, real.low), real.high)


def perturbed(domain: Domain, value: Any, factor: float) -> Any:
    """``value`` times ``factor``, as near as ``domain`` has it."""
    if isinstance(domain, Categorical | Weighted):
        return _neighbour(list(domain.values), value, factor)
    if isinstance(domain.latent, Integer):
        return domain.value(_whole(domain.latent, latent_of(domain, value), factor))
    if isinstance(domain, Quantized):
        return _quantized(domain, value, factor)
    low, high = _ends(domain)
    if isinstance(domain, Stepped):
        place, moved = domain.value(value), domain.value(value * factor)
        step = domain.step * _direction(value, factor)
        return min(max(moved if moved != place else domain.value(place + step), low), high)
    return min(max(value * factor, low), high)


def _neighbour(members: list[Any], value: Any, factor: float) -> Any:
    if not all(_is_number(member) for member in members):
        return value
    members.sort()
    place = members.index(value)
    near = _nearest(members, value * factor)
    moved = near if near != place else place + _direction(value, factor)
    return members[min(max(moved, 0), len(members) - 1)]


def _nearest(ordered: Sequence[float], target: float) -> int:
    right = min(bisect_left(ordered, target), len(ordered) - 1)
    left = max(right - 1, 0)
    return left if target - ordered[left] <= ordered[right] - target else right


def _whole(whole: Integer, number: int, factor: float) -> int:
    steps = round((number * factor - whole.low) / whole.step)
    place = (number - whole.low) // whole.step
    moved = steps if steps != place else place + _direction(number, factor)
    return whole.low + whole.step * min(max(moved, 0), (whole.high - whole.low) // whole.step)


def _quantized(domain: Quantized, value: float, factor: float) -> Any:
    number, place = round(value * factor / domain.q), round(value / domain.q)
    moved = number if number != place else place + _direction(value, factor)
    low, high = _ends(domain)
    return min(max(multiple(moved, domain.q), low), high)


def _ends(domain: Domain) -> tuple[Any, Any]:
    latent = domain.latent
    if not isinstance(latent, Real):
        raise TypeError(f"{type(domain).__name__} is no range of numbers")
    return domain.value(latent.low), domain.value(latent.high)


def _direction(value: float, factor: float) -> int:
    """Where multiplying leads, 0 as if it were above 0."""
    return 1 if (factor > 1) == (value >= 0) else -1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
