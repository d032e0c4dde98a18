"""What a study holds, as every library can take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sweep.quantity import printable


def readable(value: Any) -> Any:
    """``value`` with each text in it as it can be sent: no half of a surrogate pair."""
    match value:
        case str():
            return printable(value)
        case Mapping():
            return {printable(str(name)): readable(each) for name, each in value.items()}
        case Sequence():
            return [readable(each) for each in value]
    return value
