"""Metrics: numbers, wherever they come from."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any


def as_metrics(values: Mapping[Any, Any]) -> dict[str, float]:
    """``values`` as floats.

    Raises:
        TypeError: a name is no string, or a value is no number; says which.
    """
    for name in values:
        if not isinstance(name, str):
            raise TypeError(f"the name of a metric must be a string, not {name!r}")
    return {name: as_number(name, value) for name, value in values.items()}


def as_number(name: str, value: Any) -> float:
    """A Python number, or a NumPy or torch value with a single element, as a float.

    Raises:
        TypeError: ``value`` is neither; ``name`` is in the message.
    """
    if not isinstance(value, numbers.Real) and _is_scalar(value):
        value = value.item()
    if isinstance(value, numbers.Real):
        return float(value)
    raise TypeError(
        f"the metric {name!r} must be a number, or a tensor or an array with one element, "
        f"not {_describe(value)}"
    )


def _is_scalar(value: Any) -> bool:
    if not callable(getattr(value, "item", None)):
        return False
    size = getattr(value, "numel", None)
    return bool((size() if callable(size) else getattr(value, "size", None)) == 1)


def _describe(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")
