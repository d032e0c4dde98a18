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


def unmatched(states: Mapping[str, Any], patterns: Sequence[str]) -> list[str]:
    """Those of ``patterns`` that match nothing in ``states``."""
    return [pattern for pattern in patterns if not excluded(states, [pattern])]


def completed(state: Any, fresh: Any, parts: Sequence[Keys]) -> Any:
    """``state`` with ``parts`` taken from ``fresh``, where that has them.

    Where it has not even the mapping that a part belongs to, as an optimizer that has made no step,
    that mapping is left out as a whole: half of what belongs together would be of no use.
    """
    for keys in parts:
        _complete(state, fresh, keys)
    return state


def _complete(target: Any, source: Any, keys: Keys) -> None:
    key, *rest = keys
    if not (isinstance(target, dict) and isinstance(source, dict)):
        return
    if not rest:
        if key in source:
            target[key] = source[key]
    elif key in source:
        _complete(target.get(key), source[key], tuple(rest))
    else:
        target.pop(key, None)


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
