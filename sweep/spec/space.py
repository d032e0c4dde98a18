"""The space that is searched: dimensions in the order in which their values are chosen."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sweep.spec.domain import Domain
from sweep.spec.latent import Fixed
from sweep.spec.parameter import Parameter
from sweep.spec.value import fresh, identity


@dataclass(frozen=True)
class Dimension:
    """One parameter of the space. ``when`` pairs other parameters with the values that they must
    have for this one to be there; all of them must hold."""

    name: str
    domain: Domain
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def active(self, params: Mapping[str, Any]) -> bool:
        """True where ``params``, chosen before this one, meet its conditions.

        A condition on a parameter that is itself absent does not hold.
        """
        return all(
            parent in params and any(identity(params[parent]) == identity(one) for one in values)
            for parent, values in self.when
        )


@dataclass(frozen=True)
class Space:
    """All dimensions, each after those that it depends on, else in the order written."""

    dimensions: tuple[Dimension, ...]

    @classmethod
    def of(cls, parameters: Mapping[str, Parameter]) -> Space:
        """The space of valid ``parameters``, whose conditions have no circle."""
        waiting = dict(parameters)
        ordered: list[Dimension] = []
        while waiting:
            name = next(name for name, each in waiting.items() if not each.when.keys() & waiting)
            parameter = waiting.pop(name)
            ordered.append(Dimension(name, parameter.domain, tuple(parameter.when.items())))
        return cls(tuple(ordered))

    def searched(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """``params`` without the constants, which say nothing about a trial."""
        fixed = {each.name for each in self.dimensions if isinstance(each.domain.latent, Fixed)}
        return {name: value for name, value in params.items() if name not in fixed}

    def complete(self, choose: Callable[[Dimension], Any]) -> dict[str, Any]:
        """Parameters with the user's values that ``choose`` gives for each active dimension."""
        params: dict[str, Any] = {}
        for dimension in self.dimensions:
            if dimension.active(params):
                params[dimension.name] = choose(dimension)
        return params

    def grid(self) -> Iterator[dict[str, Any]]:
        """Every configuration once, the last dimension changing fastest.

        Raises:
            ValueError: a dimension is continuous, so there is no end of configurations.
        """
        if self.grid_size is None:
            raise ValueError("a grid needs dimensions whose values can be counted")
        return self._configurations()

    def _configurations(self) -> Iterator[dict[str, Any]]:
        open_ = [iter([(0, dict[str, Any]())])]  # a level each, as recursion has an end
        while open_:
            place = next(open_[-1], None)
            if place is None:
                open_.pop()
                continue
            position, chosen = place
            while position < len(self.dimensions) and not self.dimensions[position].active(chosen):
                position += 1
            if position == len(self.dimensions):
                yield {name: fresh(value) for name, value in chosen.items()}
            else:
                open_.append(self._choices(position, chosen))

    def _choices(
        self, position: int, chosen: dict[str, Any]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        dimension = self.dimensions[position]
        for value in dimension.domain.values or ():
            yield position + 1, {**chosen, dimension.name: value}

    @cached_property
    def grid_size(self) -> int | None:
        """How many configurations `grid` gives, counted without making them; None: no end."""
        if any(dimension.domain.values is None for dimension in self.dimensions):
            return None
        return _Count(self.dimensions).total()


_Chosen = tuple[tuple[str, Hashable], ...]


class _Count:
    """Counts configurations, dimension by dimension.

    Only values that some condition names tell configurations apart, so all other values of a
    dimension are counted together, and a value is forgotten after the last condition on it. Each
    dimension is followed by those that depend on it, so that few are to be remembered at a time.
    """

    def __init__(self, dimensions: tuple[Dimension, ...]) -> None:
        self._dimensions = _children_first(dimensions)
        self._named: dict[str, dict[Hashable, Any]] = {}
        self._last: dict[str, int] = {}
        for position, dimension in enumerate(self._dimensions):
            for parent, values in dimension.when:
                named = {identity(value): value for value in values}
                self._named.setdefault(parent, {}).update(named)
                self._last[parent] = position

    def total(self) -> int:
        ways: dict[_Chosen, int] = {(): 1}
        for position, dimension in enumerate(self._dimensions):
            after: dict[_Chosen, int] = {}
            for chosen, count in ways.items():
                for more, times in self._outcomes(dimension, chosen):
                    key = tuple(p for p in more if self._last.get(p[0], -1) > position)
                    after[key] = after.get(key, 0) + count * times
            ways = after
        return sum(ways.values())

    def _outcomes(self, dimension: Dimension, chosen: _Chosen) -> Iterator[tuple[_Chosen, int]]:
        """What may be chosen then, and by how many values each."""
        held = dict(chosen)
        for parent, values in dimension.when:
            if held.get(parent) not in {identity(value) for value in values}:
                yield chosen, 1
                return
        named = self._named.get(dimension.name, {})
        telling = [key for key, value in named.items() if value in dimension.domain]
        yield from (((*chosen, (dimension.name, key)), 1) for key in telling)
        others = len(dimension.domain.values or ()) - len(telling)
        if others:
            yield chosen, others


def _children_first(dimensions: tuple[Dimension, ...]) -> list[Dimension]:
    """Each after all that it depends on, and as soon after them as may be."""
    children: dict[str, list[Dimension]] = {}
    for dimension in dimensions:
        for parent, _ in dimension.when:
            children.setdefault(parent, []).append(dimension)
    ordered: dict[str, Dimension] = {}
    waiting = list(reversed(dimensions))
    while waiting:
        dimension = waiting.pop()
        if dimension.name in ordered or any(one not in ordered for one, _ in dimension.when):
            continue
        ordered[dimension.name] = dimension
        waiting += reversed(children.get(dimension.name, []))
    return list(ordered.values())
