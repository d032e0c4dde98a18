"""The space that is searched: dimensions in the order in which their values are chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
        return self._configurations(0, {})

    def _configurations(self, position: int, chosen: dict[str, Any]) -> Iterator[dict[str, Any]]:
        while position < len(self.dimensions) and not self.dimensions[position].active(chosen):
            position += 1
        if position == len(self.dimensions):
            yield {name: fresh(value) for name, value in chosen.items()}
            return
        dimension = self.dimensions[position]
        for value in dimension.domain.values or ():
            yield from self._configurations(position + 1, {**chosen, dimension.name: value})

    @cached_property
    def grid_size(self) -> int | None:
        """How many configurations `grid` gives, counted without making them; None: no end."""
        if any(dimension.domain.values is None for dimension in self.dimensions):
            return None
        return _Count(self.dimensions).of(0, ())


class _Count:
    """Counts configurations from a dimension on.

    Only values that some condition names tell configurations apart, so all other values of a
    dimension are counted together, and what was counted once is remembered.
    """

    def __init__(self, dimensions: tuple[Dimension, ...]) -> None:
        self._dimensions = dimensions
        self._known: dict[tuple[int, tuple[tuple[str, Any], ...]], int] = {}

    def of(self, position: int, chosen: tuple[tuple[str, Any], ...]) -> int:
        if position == len(self._dimensions):
            return 1
        named = self._named(position)
        key = (position, tuple(pair for pair in chosen if pair[0] in named))
        if key not in self._known:
            self._known[key] = self._count(position, key[1])
        return self._known[key]

    def _count(self, position: int, chosen: tuple[tuple[str, Any], ...]) -> int:
        dimension = self._dimensions[position]
        held = dict(chosen)
        for parent, values in dimension.when:
            if held.get(parent) not in {identity(value) for value in values}:
                return self.of(position + 1, chosen)
        size = len(dimension.domain.values or ())
        named = self._named(position + 1).get(dimension.name, {})
        telling = {key for key, value in named.items() if value in dimension.domain}
        total = 0
        if size > len(telling):
            total += (size - len(telling)) * self.of(position + 1, chosen)
        for key in telling:
            total += self.of(position + 1, (*chosen, (dimension.name, key)))
        return total

    def _named(self, position: int) -> dict[str, dict[Any, Any]]:
        """The values that conditions from ``position`` on name, by parameter and identity."""
        named: dict[str, dict[Any, Any]] = {}
        for dimension in self._dimensions[position:]:
            for parent, values in dimension.when:
                named.setdefault(parent, {}).update({identity(value): value for value in values})
        return named
