"""The hyperparameters of a trial, as a mapping and as attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any


class Params(Mapping[str, Any]):
    """Hyperparameters by name: ``params["lr"]``, ``params.lr``, ``params.get("momentum", 0.0)``.

    A group of them is such a mapping itself: ``params.optimizer.lr``, ``params["optimizer"]["lr"]``
    and ``params["optimizer.lr"]`` are the same. To go through all of them gives the full names.
    Read-only. A conditional parameter that does not apply is absent. A name that is a method
    (``keys``, ``items``, ``values``, ``get``, ``to_dict``) is reached as an item only.
    """

    __slots__ = ("_grouped", "_values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", dict(values))
        object.__setattr__(self, "_grouped", any("." in name for name in self._values))

    def __getitem__(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        group = self._group(name)
        if group is None:
            raise KeyError(self._missing(name))
        return group

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self:
            raise AttributeError(self._missing(name))
        return self[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain and nested: ``{"lr": 0.1, "optimizer": {"momentum": 0.9}}``, a group in each.

        ``dict(params)`` has the full names instead, ``{"lr": 0.1, "optimizer.momentum": 0.9}``.
        """
        nested: dict[str, Any] = {}
        for name, value in self._values.items():
            *groups, last = name.split(".")
            place = nested
            for group in groups:
                place = place.setdefault(group, {})
            place[last] = value
        return nested

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"parameters cannot be changed, and {name} was about to be")

    def __contains__(self, name: object) -> bool:
        return name in self._values or self._group(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *dict.fromkeys(name.split(".")[0] for name in self._values)]

    def __repr__(self) -> str:
        return f"Params({self._values!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Params, (self._values,))

    def _group(self, name: object) -> Params | None:
        """The parameters whose names begin with ``name`` and a dot, if there are any."""
        if not self._grouped:
            return None
        begin = f"{name}."
        members = {
            full.removeprefix(begin): value
            for full, value in self._values.items()
            if full.startswith(begin)
        }
        return Params(members) if members else None

    def _missing(self, name: str) -> str:
        close = get_close_matches(name, self._values, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"this trial has no parameter {name!r} ({', '.join(self._values) or 'none'}){hint}"
