"""First configurations to try: what may be wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sweep.spec.inverse import latent_of
from sweep.spec.parameter import Parameter
from sweep.spec.problem import Path, Problem
from sweep.spec.suggestion import did_you_mean, listed, plain
from sweep.spec.value import identity


def enqueue_problems(
    enqueue: Any, parameters: Mapping[str, Parameter], names: Sequence[str]
) -> Iterator[Problem]:
    """Values of first configurations that lie outside of the space.

    ``names`` are all parameters that were written, ``parameters`` the valid ones. What is no list
    of mappings is passed over: the model has said so.
    """
    for position, entry in enumerate(enqueue if isinstance(enqueue, list | tuple) else ()):
        path: Path = ("enqueue", position)
        if not isinstance(entry, Mapping):
            continue
        if not entry:
            yield Problem(path, "is empty: give the value of one parameter at least")
        for name, value in entry.items():
            if name in parameters:
                yield from _wrong_value((*path, name), parameters[name], value)
                yield from _excluded((*path, name), parameters, name, entry)
            elif name not in names:
                yield Problem((*path, name), f"no such parameter; {did_you_mean(name, names)}")


def ungrouped(enqueue: Any, names: Collection[str]) -> Any:
    """``enqueue`` with parameters of groups by their full names: ``{optimizer: {lr: 0.1}}``."""
    if not isinstance(enqueue, list):
        return enqueue
    return [dict(_flat(each, names, "")) if isinstance(each, dict) else each for each in enqueue]


def _flat(
    entry: Mapping[str, Any], names: Collection[str], group: str
) -> Iterator[tuple[str, Any]]:
    for key, value in entry.items():
        name = group + key
        inside = any(each.startswith(f"{name}.") for each in names)
        if inside and name not in names and isinstance(value, Mapping):
            yield from _flat(value, names, f"{name}.")
        else:
            yield name, value


def _wrong_value(path: Path, parameter: Parameter, value: Any) -> Iterator[Problem]:
    try:
        latent_of(parameter.domain, value)
    except (TypeError, ValueError) as error:
        yield Problem(path, str(error))


def _excluded(
    path: Path, parameters: Mapping[str, Parameter], name: str, entry: Mapping[str, Any]
) -> Iterator[Problem]:
    """A value whose condition does not hold, or may not hold whatever the sampler chooses."""
    for parent, values in parameters[name].when.items():
        allowed = {identity(value) for value in values}
        meaning = f"{parent} must be {listed(map(plain, values), 'or')}"
        if parent in entry:
            if identity(entry[parent]) not in allowed:
                yield Problem(path, f"has no meaning here: {meaning}")
        elif parent in parameters:
            possible = {identity(value) for value in parameters[parent].domain.values or ()}
            if not possible <= allowed:
                yield Problem(path, f"has a meaning only where {meaning}: give {parent}, too")
