"""The distributions that a parameter can have, by W&B's names, and the keys that each takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sweep.spec.domain import (
    Beta,
    Categorical,
    Constant,
    Continuous,
    Domain,
    Normal,
    Quantized,
    Weighted,
    Whole,
)

if TYPE_CHECKING:
    from sweep.spec.parameter import Parameter


class Distribution(StrEnum):
    """Names as in W&B's sweep configuration, except ``int_log_uniform_values``, which is ours.

    Bounds of ``log_uniform`` and its ``q_`` form are natural exponents: the value lies between
    exp(min) and exp(max). Those of ``inv_log_uniform`` are exponents of 1/value. The forms that end
    in ``_values`` take the bounds of the value itself. ``q_`` forms are rounded to multiples of
    ``q``.
    """

    CONSTANT = "constant"
    CATEGORICAL = "categorical"
    CATEGORICAL_W_PROBABILITIES = "categorical_w_probabilities"
    INT_UNIFORM = "int_uniform"
    INT_LOG_UNIFORM_VALUES = "int_log_uniform_values"
    UNIFORM = "uniform"
    Q_UNIFORM = "q_uniform"
    LOG_UNIFORM = "log_uniform"
    LOG_UNIFORM_VALUES = "log_uniform_values"
    Q_LOG_UNIFORM = "q_log_uniform"
    Q_LOG_UNIFORM_VALUES = "q_log_uniform_values"
    INV_LOG_UNIFORM = "inv_log_uniform"
    INV_LOG_UNIFORM_VALUES = "inv_log_uniform_values"
    NORMAL = "normal"
    Q_NORMAL = "q_normal"
    LOG_NORMAL = "log_normal"
    Q_LOG_NORMAL = "q_log_normal"
    BETA = "beta"
    Q_BETA = "q_beta"

    @property
    def quantized(self) -> bool:
        return self.value.startswith("q_")

    @property
    def exponents(self) -> bool:
        """True where the bounds are exponents rather than values."""
        return self.value.endswith("log_uniform")

    @property
    def log_values(self) -> bool:
        """True where the bounds are values on a log scale."""
        return self.value.endswith("log_uniform_values")

    @property
    def whole(self) -> bool:
        return self.value.startswith("int_")


@dataclass(frozen=True, slots=True)
class Form:
    """The keys of a distribution: those it needs, and those it may have with their defaults."""

    required: tuple[str, ...] = ()
    optional: Mapping[str, Any] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


def form_of(distribution: Distribution) -> Form:
    """The keys that ``distribution`` takes."""
    kind = distribution.value.removeprefix("q_")
    step = {"q": 1} if distribution.quantized else {}
    match kind:
        case "constant":
            return Form(("value",))
        case "categorical":
            return Form(("values",))
        case "categorical_w_probabilities":
            return Form(("values", "probabilities"))
        case "normal" | "log_normal":
            return Form((), {"mu": 0, "sigma": 1, **step})
        case "beta":
            return Form((), {"a": 1, "b": 1, **step})
        case "int_uniform":
            return Form(("min", "max"), {"step": 1})
    return Form(("min", "max"), step)


def inferred(given: Mapping[str, Any]) -> Distribution | None:
    """The distribution that keys without a ``distribution`` stand for, as in W&B."""
    if "value" in given:
        return Distribution.CONSTANT
    if "probabilities" in given:
        return Distribution.CATEGORICAL_W_PROBABILITIES
    if "values" in given:
        return Distribution.CATEGORICAL
    bounds = [given[key] for key in ("min", "max") if key in given]
    if not bounds:
        return None
    whole = all(isinstance(bound, int) for bound in bounds)
    return Distribution.INT_UNIFORM if whole else Distribution.UNIFORM


def domain_of(parameter: Parameter) -> Domain:
    """The values that a valid ``parameter`` can have."""
    match parameter.distribution:
        case Distribution.CONSTANT:
            return Constant(parameter.value)
        case Distribution.CATEGORICAL:
            return Categorical(parameter.values or ())
        case Distribution.CATEGORICAL_W_PROBABILITIES:
            return Weighted(parameter.values or (), parameter.probabilities or ())
        case Distribution.INT_UNIFORM | Distribution.INT_LOG_UNIFORM_VALUES as whole:
            log = whole is Distribution.INT_LOG_UNIFORM_VALUES
            step = parameter.step or 1
            return Whole(int(parameter.min or 0), int(parameter.max or 0), log, step)
    inner = _continuous(parameter)
    return Quantized(inner, parameter.q or 1) if parameter.distribution.quantized else inner


def _continuous(parameter: Parameter) -> Continuous | Normal | Beta:
    distribution = parameter.distribution
    match distribution.value.removeprefix("q_"):
        case "normal" | "log_normal" as kind:
            sigma = 1.0 if parameter.sigma is None else float(parameter.sigma)
            return Normal(float(parameter.mu or 0), sigma, log=kind == "log_normal")
        case "beta":
            return Beta(float(parameter.a or 1), float(parameter.b or 1))
    low, high = float(parameter.min or 0), float(parameter.max or 0)
    if distribution.exponents:
        if distribution is Distribution.INV_LOG_UNIFORM:
            low, high = -high, -low
        return Continuous(math.exp(low), math.exp(high), log=True)
    return Continuous(low, high, log=distribution.log_values)
