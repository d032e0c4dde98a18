"""One hyperparameter as it is written, checked and brought to one spelling."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_serializer, model_validator

from sweep.spec.distribution import Distribution, domain_of, form_of, inferred
from sweep.spec.domain import Domain
from sweep.spec.field import Count, Number, choice
from sweep.spec.problem import Problem, Section, wrong, wrongs
from sweep.spec.rule import misplaced, wrong_conditions, wrong_values
from sweep.spec.suggestion import brief

_BARE = "needs value, values, or min and max (with a distribution if need be)"


def _alternatives(given: Any) -> Any:
    """The values of a condition: a list is any of several, all else is a single one."""
    return tuple(given) if isinstance(given, list | tuple) else (given,)


Condition = Annotated[tuple[Any, ...], BeforeValidator(_alternatives), WithJsonSchema({})]


class Parameter(Section):
    """A hyperparameter: a constant, a choice of values, or a range with its distribution.

    After validation ``distribution`` is always set and the keys that it takes have their defaults,
    so two spellings of the same are equal.
    """

    distribution: Annotated[
        Distribution,
        BeforeValidator(choice(Distribution)),
        WithJsonSchema({"type": "string", "enum": [member.value for member in Distribution]}),
    ] = Distribution.CONSTANT
    """How values are distributed, by W&B's names. Without it: constant, categorical, int_uniform
    (both bounds whole numbers) or uniform, as the other keys say."""
    value: Any = None
    """The one value of a constant."""
    values: tuple[Any, ...] | None = None
    """The values to choose from, of any type."""
    probabilities: tuple[Number, ...] | None = None
    """How likely each of the values is; they sum to 1."""
    min: Number | None = None
    """Lower bound. For log_uniform it is an exponent (of e), for log_uniform_values a value."""
    max: Number | None = None
    """Upper bound, included. An exponent or a value, as min."""
    step: Count | None = None
    """Distance from one whole number to the next, from min on (int_uniform). Default 1."""
    mu: Number | None = None
    """Mean of a normal distribution, or of the logarithm of a log-normal one. Default 0."""
    sigma: Number | None = None
    """Standard deviation of a normal distribution, or of the logarithm. Default 1."""
    q: Number | None = None
    """Values are rounded to multiples of this (q_ distributions). Default 1."""
    a: Number | None = None
    """First shape parameter of a beta distribution. Default 1."""
    b: Number | None = None
    """Second shape parameter of a beta distribution. Default 1."""
    when: dict[str, Condition] = Field(default_factory=dict)
    """Only where other parameters have these values: {optimizer: sgd} or {optimizer: [sgd, adam]}.
    Elsewhere the parameter is absent."""

    @cached_property
    def domain(self) -> Domain:
        """The values that it can have."""
        return domain_of(self)

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, given: Any) -> Any:
        if isinstance(given, str | int | float):
            raise wrong(f"must be a mapping: for a constant write {{value: {brief(given)}}}")
        if isinstance(given, list):
            raise wrong(f"must be a mapping: for a choice write {{values: {brief(given)}}}")
        return given

    @model_validator(mode="after")
    def _complete(self) -> Parameter:
        given = {key: getattr(self, key) for key in self.model_fields_set & _KEYS}
        empty = [key for key, item in given.items() if item is None and key != "value"]
        if empty:
            raise wrongs([Problem((key,), "is empty: fill it in or remove it") for key in empty])
        explicit = "distribution" in self.model_fields_set
        distribution = self.distribution if explicit else inferred(given)
        if distribution is None:
            raise wrongs([Problem((), _BARE)])
        form = form_of(distribution)
        problems = list(misplaced(given, form, distribution if explicit else None))
        problems += wrong_conditions(self.when)
        values = {**form.optional, **given}
        # frozen for everyone else: this is where the one spelling comes about
        self.__dict__.update(values, distribution=distribution)
        if not problems:
            problems = list(wrong_values(self, form))
        if problems:
            raise wrongs(problems)
        return self

    @model_serializer(mode="plain")
    def _written(self) -> dict[str, Any]:
        """The keys that its distribution takes and, where it has one, its condition."""
        written: dict[str, Any] = {"distribution": self.distribution.value}
        for key in form_of(self.distribution).keys:
            item = getattr(self, key)
            if key != "step" or item != 1:  # which no spec had at first
                written[key] = list(item) if isinstance(item, tuple) else item
        if self.when:
            written["when"] = {parent: _shortest(values) for parent, values in self.when.items()}
        return written


_KEYS = set(Parameter.model_fields) - {"distribution", "when"}


def _shortest(values: tuple[Any, ...]) -> Any:
    single = len(values) == 1 and not isinstance(values[0], list | tuple)
    return values[0] if single else list(values)
