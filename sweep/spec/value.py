"""Values of parameters: anything that JSON can hold, told apart as YAML tells them apart."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from copy import deepcopy
from hashlib import blake2b
from typing import Any


def identity(value: Any) -> Hashable:
    """A key that is equal for equal values: 1 and 1.0 are, 1 and true are not.

    Raises:
        TypeError: for a value that JSON cannot hold.
        ValueError: for NaN, which equals nothing.
    """
    match value:
        case None | bool() | str():
            return (type(value).__name__, value)
        case float() if math.isnan(value):
            raise ValueError("NaN")
        case int() | float():
            return ("number", value)
        case list() | tuple():
            return ("list", tuple(identity(item) for item in value))
        case Mapping():
            return ("mapping", frozenset((str(key), identity(v)) for key, v in value.items()))
    raise TypeError(type(value).__name__)


def digest(key: Any) -> bytes:
    """16 bytes that stand for a key that `identity` gave: equal ones have the same."""
    return blake2b(_spelled(key).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _spelled(key: Any) -> str:
    kind, value = key
    match kind:
        case "number" if isinstance(value, float):
            return int.__repr__(int(value)) if value.is_integer() else float.__repr__(value)
        case "number":
            return int.__repr__(value)
        case "list":
            return f"[{','.join(map(_spelled, value))}]"
        case "mapping":
            return f"{{{','.join(sorted(f'{name!r}:{_spelled(each)}' for name, each in value))}}}"
    return f"{kind} {value!r}"


def fresh(value: Any) -> Any:
    """``value``, or a copy where a trial could change it for the others."""
    return deepcopy(value) if isinstance(value, list | dict | tuple) else value
