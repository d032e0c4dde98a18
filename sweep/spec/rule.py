"""What may be wrong with a parameter whose keys have the right types."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sweep.spec.distribution import Distribution, Form, domain_of
from sweep.spec.domain import Quantized
from sweep.spec.latent import Real
from sweep.spec.problem import Problem
from sweep.spec.suggestion import brief, listed, plain
from sweep.spec.value import identity

if TYPE_CHECKING:
    from sweep.spec.parameter import Parameter

_EXACT = 2**53
_MANY = 40
"""Exponents above this (values above 10 ** 17) are taken for values."""

_NAME = re.compile(r"[^\W\d][\w.-]*")

_TOTAL = 1.001e-5
"""How far probabilities may sum up from 1, as in W&B (numpy's isclose)."""

_BEARERS = {"q": "q_uniform", "mu": "normal", "sigma": "normal", "a": "beta", "b": "beta"}
"""A distribution that takes a key which means nothing alone."""


def wrong_name(name: str) -> str | None:
    """What is wrong with the name of a parameter or of a group of them."""
    if _NAME.fullmatch(name):
        return None
    return "a parameter's name begins with a letter and has letters, digits and . _ - only"


def misplaced(
    given: Mapping[str, Any], form: Form, explicit: Distribution | None
) -> Iterator[Problem]:
    """Keys that the distribution does not take, and those that it lacks."""
    for key in given:
        if key in form.keys:
            continue
        if explicit is not None:
            takes = listed(form.keys)
            yield Problem(
                (key,), f"has no meaning for distribution {explicit}, which takes {takes}"
            )
        elif key == "step":
            advice = "for others write distribution: q_uniform and q"
            yield Problem((key,), f"goes with whole numbers as min and max; {advice}")
        elif key in ("q", "mu", "sigma", "a", "b"):
            yield Problem((key,), "needs a distribution, such as " + _BEARERS[key])
        else:
            yield Problem((key,), f"cannot stand beside {listed(form.required)}: keep one")
    for key in form.required:
        if key not in given:
            yield Problem((key,), "is required" + (f" for {explicit}" if explicit else ""))


def wrong_conditions(when: Mapping[str, tuple[Any, ...]]) -> Iterator[Problem]:
    for parent, values in when.items():
        if not values:
            yield Problem(("when", parent), "needs at least one value")
        yield from _not_plain(("when", parent), values)


def _not_plain(path: tuple[str, ...], values: tuple[Any, ...]) -> Iterator[Problem]:
    """Values that JSON and a comparison cannot take."""
    for position, value in enumerate(values):
        try:
            identity(value)
        except TypeError as error:
            yield Problem((*path, position), f"must be plain data, not {error}")
        except ValueError:
            yield Problem((*path, position), "must not be NaN: it equals nothing, not even itself")


def wrong_values(parameter: Parameter, form: Form) -> Iterator[Problem]:
    """What is wrong with the values of keys that are all in place."""
    keys = form.keys
    if "value" in keys:
        for problem in _not_plain(("value",), (parameter.value,)):
            yield Problem(("value",), problem.message)
        return
    if "values" in keys:
        yield from _wrong_choice(parameter)
        return
    problems = list(_CHECKS[keys[0]](parameter))
    if parameter.q is not None and parameter.q <= 0:
        problems.append(Problem(("q",), f"must be above 0, not {plain(parameter.q)}"))
    yield from problems
    if not problems:
        yield from _wrong_outcome(parameter)


def _wrong_choice(parameter: Parameter) -> Iterator[Problem]:
    values, probabilities = parameter.values or (), parameter.probabilities
    if not values:
        yield Problem(("values",), "is empty: needs at least one value")
        return
    not_plain = list(_not_plain(("values",), values))
    yield from not_plain
    seen: set[Any] = set()
    for position, value in enumerate(values if not not_plain else ()):
        if identity(value) in seen:
            advice = "to weigh it, write probabilities"
            yield Problem(("values", position), f"{brief(value)} stands there twice; {advice}")
        seen.add(identity(value))
    if probabilities is None:
        return
    if len(probabilities) != len(values):
        counts = f"{len(probabilities)} for {len(values)} values"
        yield Problem(("probabilities",), f"needs one for each value: there are {counts}")
        return
    negative = [position for position, each in enumerate(probabilities) if each < 0]
    for position in negative:
        yield Problem(("probabilities", position), "must be 0 or more")
    total = math.fsum(probabilities)
    if not negative and abs(total - 1) > _TOTAL:
        yield Problem(("probabilities",), f"must sum to 1, not {total:.6g}")


def _wrong_bounds(parameter: Parameter) -> Iterator[Problem]:
    distribution, low, high = parameter.distribution, parameter.min, parameter.max
    if low is None or high is None:
        return
    if distribution.whole:
        fractions = [key for key in ("min", "max") if not _is_whole(getattr(parameter, key))]
        for key in fractions:
            given = plain(getattr(parameter, key))
            yield Problem((key,), f"must be a whole number for {distribution}, not {given}")
        if fractions:
            return
        if max(abs(low), abs(high)) > _EXACT:
            yield Problem(("max",), "whole numbers beyond 2 ** 53 are not exact: use values")
            return
    if low > high:
        yield Problem(("min",), f"{plain(low)} is above max, which is {plain(high)}")
        return
    if distribution.log_values:
        below = [key for key in ("min", "max") if getattr(parameter, key) <= 0]
        hint = "" if high > 0 else f" (for exponents write {distribution.removesuffix('_values')})"
        for key in below:
            yield Problem((key,), "must be above 0 for a log distribution" + hint)
    elif distribution.exponents:
        yield from _wrong_exponents(distribution, low, high)
    elif not math.isfinite(float(high) - float(low)):
        yield Problem(("max",), "the range is wider than a float can tell")


def _is_whole(number: float) -> bool:
    return isinstance(number, int) or number.is_integer()


def _wrong_exponents(distribution: Distribution, low: float, high: float) -> Iterator[Problem]:
    """Exponents that overflow, or that look like bounds of the values themselves."""
    values = Distribution(f"{distribution}_values")
    inverse = distribution is Distribution.INV_LOG_UNIFORM
    least, most = (-high, -low) if inverse else (low, high)
    try:
        reached = (math.exp(least), math.exp(most))
    except OverflowError:
        reached = (0.0, math.inf)
    if reached[0] == 0 or math.isinf(reached[1]):
        path = ("min",) if (reached[0] == 0) != inverse and math.isfinite(reached[1]) else ("max",)
        meant = f"bounds of {distribution} are exponents of e, and this overflows"
        yield Problem(path, f"{meant}; bounds of the values go with distribution: {values}")
    elif 0 < low < 1 or (low > 0 and high > _MANY):
        meant = (
            f"bounds are exponents, so values would go from {reached[0]:.6g} to {reached[1]:.6g}"
        )
        spelling = f"distribution: {values}"
        yield Problem(("distribution",), f"{meant}; for {low:g} to {high:g} write {spelling}")


def _wrong_normal(parameter: Parameter) -> Iterator[Problem]:
    if parameter.sigma is not None and parameter.sigma <= 0:
        given = plain(parameter.sigma)
        yield Problem(("sigma",), f"must be above 0, not {given}; a constant is written with value")


_SHAPES = (1e-100, 1e9)
"""The shape parameters of a beta distribution whose inverse SciPy computes: beyond, it is NaN."""


def _wrong_beta(parameter: Parameter) -> Iterator[Problem]:
    least, most = _SHAPES
    for key in ("a", "b"):
        given = getattr(parameter, key)
        if given <= 0:
            yield Problem((key,), f"must be above 0, not {plain(given)}")
        elif not least <= given <= most:
            yield Problem((key,), f"must be from {least:g} to {most:g}, not {plain(given)}")


_CHECKS: Mapping[str, Callable[[Parameter], Iterator[Problem]]] = {
    "min": _wrong_bounds,
    "mu": _wrong_normal,
    "a": _wrong_beta,
}


def _wrong_outcome(parameter: Parameter) -> Iterator[Problem]:
    """Values beyond a float, and a ``q`` that leaves but one of them, or more than it can tell."""
    domain = domain_of(parameter)
    latent = domain.latent
    if not isinstance(latent, Real):
        return
    if isinstance(domain, Quantized) and _is_too_fine(domain):
        advice = "use a larger one, or a distribution without q_"
        message = f"{plain(parameter.q)} is too small to tell its multiples apart here: {advice}"
        yield Problem(("q",), message)
        return
    try:
        ends = [domain.value(latent.low), domain.value(latent.high)]
        overflows = not all(map(math.isfinite, ends))
    except (OverflowError, ValueError):
        overflows = True
    if overflows:
        yield Problem(("distribution",), "values overflow with these numbers")
    elif parameter.distribution is Distribution.LOG_NORMAL and ends[1] == 0:
        yield Problem(("distribution",), "every value would be 0 with these numbers")
    elif parameter.q is not None and ends[0] == ends[1] and latent.low < latent.high:
        only = f"every value would be {plain(ends[0])}"
        yield Problem(("q",), f"rounded to multiples of {plain(parameter.q)}, {only}")


def _is_too_fine(domain: Quantized) -> bool:
    """Whether multiples of ``q`` in the range are beyond what a float holds exactly."""
    if domain.q < sys.float_info.min:
        return True
    ends = (domain.inner.low, domain.inner.high)
    return any(end is not None and abs(end) / domain.q > _EXACT for end in ends)
