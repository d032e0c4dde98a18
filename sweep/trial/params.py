"""The hyperparameters of a trial, as a mapping and as attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any


class Params(Mapping[str, Any]):
    """Hyperparameters by name: ``params["lr"]``, ``params.lr``, ``params.get("momentum", 0.0)``.

    Read-only. A conditional parameter that does not apply is absent. A name that is also a method
    of mappings (``keys``, ``items``, ``values``, ``get``) is reached as an item only.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", dict(values))

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise KeyError(self._missing(name))
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._values:
            raise AttributeError(self._missing(name))
        return self._values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"parameters cannot be changed, and {name} was about to be")

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __repr__(self) -> str:
        return f"Params({self._values!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Params, (self._values,))

    def _missing(self, name: str) -> str:
        close = get_close_matches(name, self._values, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"this trial has no parameter {name!r} ({', '.join(self._values) or 'none'}){hint}"
