"""What a study optimises: one metric or several, and what fits them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from sweep.spec.constraint import Constraint
from sweep.spec.distribution import Distribution
from sweep.spec.method import Method, Sampler
from sweep.spec.parameter import Parameter
from sweep.spec.problem import Problem, wrong, wrongs
from sweep.spec.section import Metric

_ONE, _SEVERAL = "one metric", "several metrics"
"""Tags with a space, which no key of a metric is taken for."""


def read_metric(given: Any) -> Any:
    """A metric, or a list of them; a list of one is that one."""
    if not isinstance(given, list | tuple):
        return given
    if not given:
        raise wrong("is empty: needs at least one metric, such as {name: loss}")
    names = [each.get("name") if isinstance(each, Mapping) else None for each in given]
    twice = [
        Problem((position, "name"), f"{name} stands there twice")
        for position, name in enumerate(names)
        if isinstance(name, str) and name in names[:position]
    ]
    if twice:
        raise wrongs(twice)
    return given[0] if len(given) == 1 else given


def _tag(given: Any) -> str:
    return _SEVERAL if isinstance(given, list | tuple) else _ONE


Metrics = Annotated[
    Annotated[
        Annotated[Metric, Tag(_ONE)]
        | Annotated[tuple[Metric, ...], Field(min_length=1), Tag(_SEVERAL)],
        Discriminator(_tag),
    ],
    BeforeValidator(read_metric),
]


def objective_problems(
    method: Sampler | None,
    objectives: int,
    constraints: Sequence[str],
    parameters: Mapping[str, Parameter],
    *,
    prunes: bool,
) -> Iterator[Problem]:
    """What does not fit the number of ``objectives``, or the valid ``constraints``.

    ``method`` is None where it is not valid; ``prunes`` says whether there is early termination.
    """
    if objectives > 1 and prunes:
        message = f"judges by one metric, and there are {objectives}: remove it, or keep one metric"
        yield Problem(("early_terminate",), message)
    if method is not None and method.name == Method.CMAES:
        others = "use tpe, gp, nsga2 or nsga3"
        if objectives > 1:
            message = f"cmaes knows one objective, and metric has {objectives}: {others}"
            yield Problem(("method",), message)
        if constraints:
            yield Problem(("method",), f"cmaes knows no constraints: {others}")
    for position, text in enumerate(constraints):
        name = Constraint.parse(text).name
        if name in parameters and not _is_number(parameters[name]):
            message = f"{name} is a parameter whose values are not all numbers"
            yield Problem(("constraints", position), message)


def _is_number(parameter: Parameter) -> bool:
    """Whether all values of a parameter are numbers."""
    values = parameter.values or ()
    if parameter.distribution is Distribution.CONSTANT:
        values = (parameter.value,)
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
