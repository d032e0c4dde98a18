"""Which components of a state to read: names of what is tracked, or patterns over its paths."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from typing import Any

from sweep.checkpoint.encoder import TAG, child
from sweep.errors import UsageError

_MAPPINGS = ("dict", "OrderedDict")
_NOTHING = object()


def select(skeleton: Any, components: Collection[str]) -> Any:
    """The part of the skeleton of a trial's state that ``components`` name, under "tracked".

    A component is a path such as ``model`` or ``model.layers.0.weight``, and stands for all that
    lies below it, or a pattern such as ``model.layers.*`` (as in `fnmatch`; ``*`` crosses dots).
    Lists are taken whole or not at all, since their items have no other names than their places.

    Raises:
        UsageError: one of them names nothing; says what there is.
    """
    tracked = skeleton.get("tracked", {}) if isinstance(skeleton, dict) else {}
    found: set[str] = set()
    kept = _prune(tracked, "", tuple(components), found)
    missing = [component for component in components if component not in found]
    if missing:
        there = ", ".join(sorted(key for key in tracked if key != TAG)) or "nothing"
        raise UsageError(
            f"components: nothing in the checkpoint is called {missing[0]!r}; it holds {there}"
        )
    return {"tracked": {} if kept is _NOTHING else kept}


def arrays_of(skeleton: Any) -> set[str]:
    """Names of all arrays that a skeleton needs."""
    return {name for node in _nodes(skeleton) if type(name := node.get("array")) is str}


def _nodes(skeleton: Any) -> Iterator[dict[str, Any]]:
    if isinstance(skeleton, dict):
        if TAG in skeleton and "array" in skeleton:
            yield skeleton
        for item in skeleton.values():
            yield from _nodes(item)
    elif isinstance(skeleton, list):
        for item in skeleton:
            yield from _nodes(item)


def _prune(node: Any, path: str, components: tuple[str, ...], found: set[str]) -> Any:
    """What is left of ``node``; `_NOTHING` where nothing is."""
    hits = [name for name in components if path and (path == name or fnmatchcase(path, name))]
    found.update(hits)
    pruned = _prune_mapping(node, path, components, found)
    return node if hits else pruned


def _prune_mapping(node: Any, path: str, components: tuple[str, ...], found: set[str]) -> Any:
    if not isinstance(node, dict):
        return _NOTHING
    if TAG not in node:
        kept = {
            key: _prune(item, child(path, key), components, found) for key, item in node.items()
        }
        kept = {key: item for key, item in kept.items() if item is not _NOTHING}
        return kept or _NOTHING
    if node[TAG] not in _MAPPINGS:
        return _NOTHING
    items = [
        [key, _prune(item, child(path, key), components, found)] for key, item in node["items"]
    ]
    items = [[key, item] for key, item in items if item is not _NOTHING]
    return {**node, "items": items} if items else _NOTHING
