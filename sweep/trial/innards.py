"""What datasets, samplers and collate functions hold beside their data and no ``state_dict`` gives.

Random generators that lie in attributes, and numbers, strings and short lists of them that change
while a loader is iterated (a count of epochs, say), are part of where a pass stands. They are found
by walking through attributes, containers, partial functions, methods and closures; not through
global variables, modules with weights, or the standard library's objects.
"""

from __future__ import annotations

import copy
import functools
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from sweep.checkpoint import rng
from sweep.trial.seeding import derive

_DEPTH, _NODES, _LENGTH = 8, 5_000, 256
"""How far the walk goes: levels, objects in all, and elements of a container."""

_FOREIGN = frozenset(sys.stdlib_module_names) | {"sweep", "numpy", "pandas", "pyarrow", "PIL"}
"""Packages whose objects are not looked into."""


class _Place(NamedTuple):
    """A generator or a plain value, in the attribute ``name`` of ``owner`` (None: elsewhere)."""

    path: str
    owner: Any
    name: str
    value: Any


class Innards:
    """Generators and plain attributes of ``roots``, by path."""

    def __init__(self, **roots: Any) -> None:
        self._roots = {name: root for name, root in roots.items() if root is not None}
        self._made = {place.path: copy.deepcopy(place.value) for place in self._plain()}
        self._held = set(self._others())

    def generators(self) -> dict[str, Any]:
        """The state of each generator."""
        return {place.path: _capture(place.value) for place in self._generators()}

    def capture(self) -> dict[str, Any]:
        """A tree for a checkpoint: generators, and plain values that are not as they were made."""
        since = {path.rpartition(".")[0] for path in set(self._others()) - self._held}
        changed = {
            place.path: copy.deepcopy(place.value)
            for place in self._plain()
            if place.path not in self._made or self._made[place.path] != place.value
            # Of an object that has read its data since, say, only counts: the rest may speak of
            # the data, which the next process has not read.
            if place.path.rpartition(".")[0] not in since or self._counts(place)
        }
        return {"generators": self.generators(), "plain": changed}

    def _counts(self, place: _Place) -> bool:
        return all(type(each) in (int, float) for each in (place.value, self._made.get(place.path)))

    def plain(self) -> dict[str, Any]:
        """All plain values."""
        return {place.path: copy.deepcopy(place.value) for place in self._plain()}

    def restore(self, tree: Mapping[str, Any]) -> None:
        """Put back what `capture` gave."""
        self.assign({**self._made, **tree["plain"]})
        self.restore_generators(tree["generators"])

    def assign(self, values: Mapping[str, Any]) -> None:
        """Set plain attributes."""
        owners = {f"{path}.": owner for path, owner in self._owners()}
        for path, value in values.items():
            head, _, name = path.rpartition(".")
            owner = owners.get(f"{head}.")
            if owner is not None and (name not in owner or owner[name] != value):
                owner[name] = copy.deepcopy(value)

    def restore_generators(self, states: Mapping[str, Any]) -> None:
        """Put generators back to their states; one that is made on use only is made."""
        there = {place.path: place.value for place in self._generators()}
        owners = {f"{path}.": owner for path, owner in self._owners()}
        for path, state in states.items():
            if path in there:
                _restore(there[path], state)
                continue
            head, _, name = path.rpartition(".")
            owner = owners.get(f"{head}.")
            if owner is not None and owner.get(name) is None:
                owner[name] = _made(state)

    def seed(self, value: int) -> set[str]:
        """Seed each generator with a number that follows from ``value`` and its path."""
        places = list(self._generators())
        for place in places:
            _seed(place.value, derive("own", value, place.path) >> 32)
        return {place.path for place in places}

    def _generators(self) -> Iterator[_Place]:
        return (place for place in self._walk() if _kind(place.value) is not None)

    def _plain(self) -> Iterator[_Place]:
        return (place for place in self._walk() if place.owner is not None and _plain(place.value))

    def _others(self) -> Iterator[str]:
        """Attributes that are neither plain nor generators."""
        for path, owner in self._owners():
            for name, value in owner.items():
                if not _plain(value) and _kind(value) is None:
                    yield f"{path}.{name}"

    def _owners(self) -> Iterator[tuple[str, Any]]:
        seen = set()
        for place in self._walk(owners=True):
            if place.path not in seen:
                seen.add(place.path)
                yield place.path, place.owner

    def _walk(self, *, owners: bool = False) -> Iterator[_Place]:
        seen: set[int] = set()
        waiting: deque[tuple[str, Any, str, Any, int]]
        waiting = deque((name, None, name, root, 0) for name, root in self._roots.items())
        while waiting and len(seen) < _NODES:
            path, owner, name, value, depth = waiting.popleft()
            kind = _kind(value)
            if kind is not None or _plain(value):
                if not owners and (kind is None or id(value) not in seen):
                    yield _Place(path, owner, name, value)
                if kind is not None:
                    seen.add(id(value))
                continue
            if id(value) in seen or depth >= _DEPTH:
                continue
            seen.add(id(value))
            attributes = _attributes(value)
            if owners and attributes is not None:
                yield _Place(path, attributes, name, None)
            waiting += (
                (f"{path}.{key}", attributes, key, item, depth + 1)
                for key, item in (attributes or {}).items()
            )
            waiting += (
                (f"{path}[{key}]", None, "", item, depth + 1)
                for key, item in _parts(value)
                if not _plain(item)
            )


def _attributes(value: Any) -> dict[str, Any] | None:
    """The attributes of an object that is looked into."""
    attributes = getattr(value, "__dict__", None)
    if type(attributes) is not dict or isinstance(value, type | FunctionType):
        return None
    package = type(value).__module__.partition(".")[0]
    if package in _FOREIGN or attributes.get("_parameters"):
        return None
    if package == "torch" and not type(value).__module__.startswith("torch.utils.data"):
        return None
    return attributes


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, list | tuple) and len(value) <= _LENGTH:
        yield from enumerate(value)
    elif type(value) is dict and len(value) <= _LENGTH:
        yield from value.items()
    elif isinstance(value, MethodType):
        yield "self", value.__self__
    elif isinstance(value, functools.partial):
        yield from enumerate(value.args)
        yield from value.keywords.items()
        yield "function", value.func
    elif isinstance(value, FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        yield from ((name, cell.cell_contents) for name, cell in cells if _filled(cell))
        yield from enumerate(value.__defaults__ or ())
        yield from (value.__kwdefaults__ or {}).items()


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  an empty one raises
    except ValueError:
        return False
    return True


def _plain(value: Any) -> bool:
    if value is None or type(value) in (int, float, bool, str):
        return True
    if type(value) in (list, tuple):
        return len(value) <= _LENGTH and all(
            item is None or type(item) in (int, float, bool, str) for item in value
        )
    return False


# ---- generators


class _Kind(NamedTuple):
    capture: Callable[[Any], Any]
    restore: Callable[[Any, Any], None]
    seed: Callable[[Any, int], None]
    make: Callable[[Any], Any]


def _kind(value: Any) -> str | None:
    if isinstance(value, random.Random):
        return "python"
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        if isinstance(value, numpy.random.Generator):
            return "numpy"
        if isinstance(value, numpy.random.RandomState):
            return "legacy"
    return "torch" if torch is not None and isinstance(value, torch.Generator) else None


def _capture(generator: Any) -> dict[str, Any]:
    kind = _kind(generator) or ""
    return {"kind": kind, "state": _KINDS[kind].capture(generator)}


def _restore(generator: Any, state: Mapping[str, Any]) -> None:
    if _kind(generator) == state["kind"]:
        _KINDS[state["kind"]].restore(generator, state["state"])


def _made(state: Mapping[str, Any]) -> Any:
    kind = _KINDS[state["kind"]]
    generator = kind.make(state["state"])
    kind.restore(generator, state["state"])
    return generator


def _seed(generator: Any, value: int) -> None:
    _KINDS[_kind(generator) or ""].seed(generator, value)


def _seed_numpy(generator: Any, value: int) -> None:
    bits = generator.bit_generator
    bits.state = type(bits)(value).state


def _make_numpy(state: Any) -> Any:
    import numpy

    return numpy.random.Generator(getattr(numpy.random, state["bit_generator"])())


def _make_legacy(state: Any) -> Any:
    import numpy

    return numpy.random.RandomState()


def _make_torch(state: Any) -> Any:
    import torch

    return torch.Generator()


_KINDS = {
    "python": _Kind(
        rng.capture_python,
        rng.restore_python,
        lambda generator, value: generator.seed(value),
        lambda state: random.Random(),
    ),
    "numpy": _Kind(
        lambda generator: copy.deepcopy(generator.bit_generator.state),
        lambda generator, state: setattr(generator.bit_generator, "state", state),
        _seed_numpy,
        _make_numpy,
    ),
    "legacy": _Kind(
        rng.capture_numpy,
        rng.restore_numpy,
        lambda generator, value: generator.seed(value),
        _make_legacy,
    ),
    "torch": _Kind(
        lambda generator: bytes(generator.get_state().numpy()),
        lambda generator, state: generator.set_state(rng.to_tensor(state)),
        lambda generator, value: generator.manual_seed(value) and None,
        _make_torch,
    ),
}
