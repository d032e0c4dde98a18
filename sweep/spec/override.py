"""``--set trials=50``: values of the command line that take the place of those in the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweep.errors import SpecError
from sweep.spec.document import Document, parse_value
from sweep.spec.suggestion import brief

SYNONYMS = {"trials": "run_cap", "run_cap": "trials"}
"""Keys of the top level that mean the same: setting one removes the other."""


def override(document: Document, settings: Sequence[str]) -> None:
    """Apply ``settings`` such as ``parameters.lr.max=0.1`` to the document, in order.

    Mappings on the way are made where there are none. A value is read as YAML.

    Raises:
        SpecError: a setting without ``=``, whose value is not YAML, or whose path leads through
            something that is not a mapping.
    """
    for setting in settings:
        place = f"--set {setting}"
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals or not all(name.split(".")):
            raise SpecError(
                f"{place}: must be key=value, such as trials=50 or parameters.lr.max=0.1"
            )
        _put(document, _keys(document.data, name), parse_value(text, place), place)


def _keys(data: Any, name: str, *, group: bool = False) -> tuple[str, ...]:
    """The keys that a dotted name stands for; a key that has dots itself is preferred whole.

    In a ``group`` of parameters the key ``parameters`` may be left out.
    """
    if isinstance(data, dict):
        for key in sorted(data, key=len, reverse=True):
            if name == key:
                return (key,)
            if name.startswith(key + "."):
                inner = data[key]
                opens = isinstance(inner, dict) and "parameters" in inner
                return (key, *_keys(inner, name[len(key) + 1 :], group=opens))
        if group and name.split(".")[0] != "when":
            return ("parameters", *_keys(data["parameters"], name))
    return tuple(name.split("."))


def _put(document: Document, keys: tuple[str, ...], value: Any, place: str) -> None:
    data = document.data
    for position, key in enumerate(keys[:-1]):
        inner = data.get(key)
        if inner is None:
            inner = data[key] = {}
            document.spoken[keys[: position + 1]] = place
        elif not isinstance(inner, dict):
            path = ".".join(keys[: position + 1])
            raise SpecError(f"{place}: {path} is {brief(inner)}, and has no keys to set")
        data = inner
    if len(keys) == 1 and keys[0] in SYNONYMS:
        data.pop(SYNONYMS[keys[0]], None)
    data[keys[-1]] = value
    _forget(document, keys)
    document.spoken[keys] = place


def _forget(document: Document, keys: tuple[str, ...]) -> None:
    """Drop the places below ``keys``, which are of a value that is there no more."""
    for places in (document.lines, document.spoken):
        for path in [path for path in places if path[: len(keys)] == keys]:
            del places[path]
