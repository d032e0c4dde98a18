"""Values of parameters: anything that JSON can hold, told apart as YAML tells them apart."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from copy import deepcopy
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


def fresh(value: Any) -> Any:
    """``value``, or a copy where a trial could change it for the others."""
    return deepcopy(value) if isinstance(value, list | dict | tuple) else value
