"""The values of each parameter as a distribution of Optuna's, for whoever reads a study with it.

They are the values that users see. (`sweep.search.latent` has the ranges that samplers know.)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweep.journal.state import StudyState
from sweep.search import latent
from sweep.spec import StudySpec
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
    multiple,
)
from sweep.spec.value import identity

_SIGMAS = 3
"""So far from its mean a normal distribution is taken to go, unless a value lies beyond."""
_LARGEST = 700.0
"""Exponents of e are cut off here, before they overflow."""

_Numbers = FloatDistribution | IntDistribution


@dataclass(frozen=True, slots=True)
class Range:
    """A ``distribution``; where ``texts``, its choices are values as JSON writes them."""

    distribution: BaseDistribution
    texts: bool = False

    def value(self, given: Any) -> Any:
        """A user's value as the distribution has it."""
        if isinstance(self.distribution, FloatDistribution):
            return float(given)
        return _text(given) if self.texts else given


def ranges_of(state: StudyState) -> dict[str, Range]:
    """One for each parameter, which all values that it had in the study lie in.

    That is the range of the space; it is wider where trials from before a change of the space, or
    forks outside of it, had other values. Choices that Optuna cannot tell apart (``1`` and
    ``true``), or does not take (lists, mappings), are their JSON. A constant is a single choice. A
    normal distribution is a range of 3 sigma around its mean, on a log scale for a log-normal one.
    Of a parameter that the space does not declare it is what trials were drawn from.
    """
    spec = StudySpec.accepted(state.spec)
    declared = {} if spec.space_function else {d.name: d.domain for d in spec.space.dimensions}
    seen: dict[str, list[Any]] = {name: [] for name in declared}
    drawn: dict[str, list[BaseDistribution]] = {}
    for trial in state.trials.values():
        for name, value in trial.params.items():
            seen.setdefault(name, []).append(value)
        for name in trial.asked.latents.keys() - declared.keys():
            known = trial.asked.latents[name]
            drawn.setdefault(name, []).append(latent.from_journal(known)[1])
    return {
        name: _covering(
            _declared(declared[name]) if name in declared else _drawn(drawn.get(name, ()), values),
            values,
        )
        for name, values in seen.items()
    }


def _declared(domain: Domain) -> _Numbers | Sequence[Any]:
    match domain:
        case Constant() | Categorical() | Weighted():
            return list(domain.values or ())
        case Beta():
            return FloatDistribution(0.0, 1.0)
        case Normal():
            return FloatDistribution(*_central(domain), log=domain.log)
        case Quantized():
            return _quantized(domain)
        case Whole() | Continuous() | Stepped():
            found = latent.distribution(domain.latent)
            if isinstance(found, _Numbers):
                return found
    raise TypeError(f"no range for {type(domain).__name__}")


def _central(domain: Normal) -> tuple[float, float]:
    ends = (domain.mu + sign * _SIGMAS * domain.sigma for sign in (-1, 1))
    low, high = (
        math.exp(min(max(end, -_LARGEST), _LARGEST)) if domain.log else end for end in ends
    )
    return low, high


def _quantized(domain: Quantized) -> _Numbers:
    inner, q = domain.inner, domain.q
    low, high = _central(inner) if isinstance(inner, Normal) else (inner.low, inner.high)
    first, last = multiple(round(low / q), q), multiple(round(high / q), q)
    log = not isinstance(inner, Beta) and inner.log and first > 0
    if isinstance(first, int) and isinstance(last, int) and isinstance(q, int):
        if not log or q == 1:
            return IntDistribution(first, last, log=log, step=q)
    elif not log:
        return FloatDistribution(first, last, step=q)
    return FloatDistribution(float(first), float(last), log=True)  # Optuna's have no step then


def _drawn(known: Sequence[BaseDistribution], seen: Sequence[Any]) -> _Numbers | Sequence[Any]:
    """What a parameter that no space declares was drawn from."""
    if not all(map(_is_number, seen)) or any(
        isinstance(each, CategoricalDistribution) for each in known
    ):
        return ()
    first = next(iter(known), None)
    alike = isinstance(first, _Numbers) and all(each == first for each in known)
    if isinstance(first, _Numbers) and alike and all(_contains(first, value) for value in seen):
        return first
    return _spanning(seen, log=False)


def _covering(range_: _Numbers | Sequence[Any], seen: Sequence[Any]) -> Range:
    if not isinstance(range_, _Numbers):
        return _choices([*range_, *seen])
    if all(_contains(range_, value) for value in seen):
        return Range(range_)
    if all(map(_is_number, seen)):
        ends = (range_.low, range_.high)
        return Range(_spanning([*ends, *seen], log=range_.log))
    return _choices(seen)


def _spanning(numbers: Sequence[int | float], *, log: bool) -> _Numbers:
    low, high = min(numbers), max(numbers)
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), log=log and low > 0)
    return FloatDistribution(float(low), float(high), log=log and low > 0)


def _contains(range_: _Numbers, value: Any) -> bool:
    if not _is_number(value) or (
        isinstance(range_, IntDistribution) and not isinstance(value, int)
    ):
        return False
    return range_._contains(float(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _choices(values: Iterable[Any]) -> Range:
    members = list({identity(value): value for value in values}.values())
    plain = all(each is None or isinstance(each, bool | int | float | str) for each in members)
    if plain and len(set(members)) == len(members):
        return Range(CategoricalDistribution(members))
    return Range(CategoricalDistribution(list(map(_text, members))), texts=True)


def _text(value: Any) -> str:
    return json.dumps(value)
