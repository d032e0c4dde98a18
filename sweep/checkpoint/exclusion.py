"""Leaving parts of a state out of a checkpoint, and putting fresh ones in their place."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

Keys = tuple[Any, ...]
"""The way to a part of a nested mapping, the tracked object's name first."""


def excluded(states: Mapping[str, Any], patterns: Sequence[str]) -> list[Keys]:
    """The parts of ``states`` whose path one of ``patterns`` (fnmatch) matches.

    Paths are those of errors and arrays: ``model.norm.running_mean``, ``optimizer.state[0].step``.
    Only what a mapping holds has a path of its own here; lists are whole.
    """
    return list(_matching(states, "", (), patterns)) if patterns else []


def without(states: Mapping[str, Any], parts: Sequence[Keys]) -> dict[str, Any]:
    """``states`` without ``parts``; neither it nor what it holds is changed."""
    pruned = dict(states)
    for keys in parts:
        _remove(pruned, keys)
    return pruned


def completed(state: Any, fresh: Any, parts: Sequence[Keys]) -> Any:
    """``state`` with ``parts`` taken from ``fresh``, where that has them."""
    for keys in parts:
        *way, last = keys
        source, target = fresh, state
        for key in way:
            source = source.get(key) if isinstance(source, dict) else None
            target = target.get(key) if isinstance(target, dict) else None
        if isinstance(source, dict) and isinstance(target, dict) and last in source:
            target[last] = source[last]
    return state


def _matching(value: Any, path: str, keys: Keys, patterns: Sequence[str]) -> Any:
    for key, item in value.items():
        inner = _child(path, key)
        if any(fnmatchcase(inner, pattern) for pattern in patterns):
            yield (*keys, key)
        elif type(item) in (dict, OrderedDict):
            yield from _matching(item, inner, (*keys, key), patterns)


def _remove(mapping: dict[Any, Any], keys: Keys) -> None:
    key, *rest = keys
    if not rest:
        del mapping[key]
        return
    mapping[key] = copy.copy(mapping[key])  # an OrderedDict keeps its versions of modules
    _remove(mapping[key], tuple(rest))


def _child(path: str, key: Any) -> str:
    if type(key) is not str:
        return f"{path}[{key!r}]"
    return f"{path}.{key}" if path else key
