"""All configurations of a space, in the order in which a method goes through them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Hashable, Iterator, Mapping
from typing import Any

from sweep.journal.state import StudyState
from sweep.search.define import DefinedSpace
from sweep.search.permutation import permuted
from sweep.spec import Dimension, Method, Space, StudySpec
from sweep.spec.value import fresh, identity


class Configurations:
    """What methods ``grid`` (in order) and ``brute`` (shuffled by the seed) propose."""

    def __init__(self, spec: StudySpec) -> None:
        self._space = spec.space
        self._size = spec.space.grid_size or 0
        self._shuffled = spec.method.name == Method.BRUTE
        self._seed = spec.seed
        self._begin = 0
        """All places before it are tried: what was tried stays so."""

    def first(self, tried: Container[Hashable]) -> dict[str, Any]:
        """The first that is not ``tried`` yet (a container of identities).

        Raises:
            ValueError: all of them are.
        """
        for place in range(self._begin, self._size):
            params = self._at(place)
            if identity(params) not in tried:
                self._begin = place
                return params
        raise ValueError(f"all of the {self._size} configurations were tried")

    def first_with(
        self, fixed: Mapping[str, Any], tried: Container[Hashable]
    ) -> dict[str, Any] | None:
        """The first one not ``tried`` yet that has the values of ``fixed``, if there is one."""
        wanted = {name: identity(value) for name, value in fixed.items()}
        for params in self._ordered():
            held = {name: identity(params[name]) for name in wanted if name in params}
            if held == wanted and identity(params) not in tried:
                return params
        return None

    def __contains__(self, params: Mapping[str, Any]) -> bool:
        """Whether ``params`` are one of them."""
        chosen: dict[str, Any] = {}
        for dimension in self._space.dimensions:
            if dimension.active(chosen):
                name = dimension.name
                if name not in params or params[name] not in dimension.domain:
                    return False
                chosen[name] = params[name]
        return len(chosen) == len(params)

    def _at(self, place: int) -> dict[str, Any]:
        if self._shuffled:
            place = permuted(place, self._size, self._seed)
        return next(itertools.islice(self._space.grid(), place, None))

    def _ordered(self) -> Iterator[dict[str, Any]]:
        if not self._shuffled:
            yield from self._space.grid()
            return
        all_ = list(self._space.grid())
        for place in range(self._size):
            yield all_[permuted(place, self._size, self._seed)]


def combinations(
    space: Space | DefinedSpace, begin: Callable[[int], int]
) -> Iterator[dict[str, Any] | None]:
    """Every combination of a space once; None, and no more, where it turns out to have no end.

    ``begin`` chooses of so many values of a dimension with which one to begin.
    """
    way: list[list[int]] = []  # of each dimension: the value to begin with, the turn, how many
    while True:
        depth = 0

        def choose(dimension: Dimension) -> Any:
            nonlocal depth
            values = dimension.domain.values
            if values is None:
                raise _Endless
            if depth == len(way):
                way.append([begin(len(values)), 0, len(values)])
            first, turn, size = way[depth]
            depth += 1
            return fresh(values[(first + turn) % size])

        try:
            params = space.complete(choose)
        except _Endless:
            yield None
            return
        yield params
        while way and way[-1][1] + 1 == way[-1][2]:
            way.pop()
        if not way:
            return
        way[-1][1] += 1


class _Endless(BaseException):
    """Leaves a space: a dimension has no end of values."""


def total(spec: StudySpec, state: StudyState | None = None) -> int:
    """How many trials are asked in all, in a study that has come to ``state`` if it has begun.

    Raises:
        ValueError: nothing says how many.
    """
    if state is not None and state.exhausted is not None and _is_same_space(spec, state):
        return state.asked
    trials = spec.trials
    if spec.method.ends:
        size = spec.space.grid_size
        if size is not None:
            size += 0 if state is None else outside(spec, state)
            trials = size if trials is None else min(size, trials)
    if trials is None:
        raise ValueError(f"{spec.name}: neither trials nor a grid says how many trials to make")
    return trials


def _is_same_space(spec: StudySpec, state: StudyState) -> bool:
    """Whether every combination of ``spec`` was tried, where that is so of the study's own."""
    own = StudySpec.accepted(state.spec)
    names = ("parameters", "space_function", "method", "duplicates")
    return all(getattr(own, name) == getattr(spec, name) for name in names)


def outside(spec: StudySpec, state: StudyState) -> int:
    """How many trials that were asked are no further configuration of the space of ``spec``.

    There are none, unless the space was changed.
    """
    configurations = Configurations(spec)
    asked = [trial.params for trial in state.trials.values() if trial.fork is None]
    covered = {identity(params) for params in asked if params in configurations}
    return len(asked) - len(covered)
