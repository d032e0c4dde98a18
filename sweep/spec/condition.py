"""What may be wrong among parameters: conditions that cannot hold, and a grid without end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sweep.spec.parameter import Parameter
from sweep.spec.problem import Problem
from sweep.spec.suggestion import brief, did_you_mean, plain


def condition_problems(
    parameters: Mapping[str, Parameter], names: tuple[str, ...]
) -> Iterator[Problem]:
    """Conditions that name what is not there, or that wait for themselves.

    ``names`` are all parameters that were written, valid or not; only valid ones are in
    ``parameters``.
    """
    for name, parameter in parameters.items():
        for parent in parameter.when:
            path = ("parameters", name, "when", parent)
            if parent == name:
                yield Problem(path, "a condition on the parameter itself can never hold")
            elif parent not in names:
                others = [other for other in names if other != name]
                yield Problem(path, f"no such parameter; {did_you_mean(parent, others)}")
            elif parent in parameters:
                yield from _impossible(name, parameter, parent, parameters[parent])
    yield from _circles(parameters)


def _impossible(
    name: str, parameter: Parameter, parent: str, above: Parameter
) -> Iterator[Problem]:
    """Values that the parent cannot have."""
    path = ("parameters", name, "when", parent)
    domain = above.domain
    if domain.values is None:
        yield Problem(path, f"{parent} is continuous: a condition needs values to compare with")
        return
    for value in parameter.when[parent]:
        if value not in domain:
            yield Problem(path, f"{parent} is never {brief(value)}; it is {_range(above)}")


def _range(parameter: Parameter) -> str:
    if parameter.values is not None:
        return "one of " + brief(parameter.domain.values)
    if parameter.min is None:
        return plain(parameter.value)
    return f"{parameter.distribution} from {plain(parameter.min)} to {plain(parameter.max)}"


def _circles(parameters: Mapping[str, Parameter]) -> Iterator[Problem]:
    """Each circle of conditions once, at the first parameter in it as written."""
    parents = {
        name: [parent for parent in parameter.when if parent in parameters and parent != name]
        for name, parameter in parameters.items()
    }
    done: set[str] = set()
    for start in parents:
        circle = _way_back(start, parents, done)
        if circle:
            done.update(circle)
            path = ("parameters", start, "when", circle[1])
            yield Problem(path, "a circle of conditions: " + " -> ".join(circle))


def _way_back(start: str, parents: Mapping[str, list[str]], done: set[str]) -> list[str]:
    """The shortest way from ``start`` over parents back to it, or nothing."""
    if start in done:
        return []
    seen = {start}
    ways = [[start]]
    for way in ways:
        for parent in parents[way[-1]]:
            if parent == start:
                return [*way, start]
            if parent not in seen and parent not in done:
                seen.add(parent)
                ways.append([*way, parent])
    return []


def grid_problems(parameters: Mapping[str, Parameter], method: str) -> Iterator[Problem]:
    """Parameters that method ``grid`` (or ``brute``) cannot go through."""
    for name, parameter in parameters.items():
        path = ("parameters", name)
        if parameter.probabilities is not None:
            advice = "remove them or choose another method"
            yield Problem((*path, "probabilities"), f"mean nothing to a grid: {advice}")
        elif parameter.domain.values is None:
            advice = "use values, q_uniform or whole numbers"
            yield Problem(path, f"is continuous, and method {method} needs an end: {advice}")
