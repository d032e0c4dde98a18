"""The space that trials of Ray Tune were drawn from, as far as their values tell it.

Tune keeps the values of each trial, and its space in pickles only. So a parameter that had one
value is a constant here. Numbers that came again are taken for choices, since draws from a range
hardly ever do; others for a range from the least that was seen to the most, rounded outward.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from sweep.search.found_space import FoundSpace
from sweep.spec.value import identity

_PICKLE = "CLOUDPICKLE_FALLBACK"


def space_seen(configs: Sequence[Mapping[str, Any]]) -> tuple[FoundSpace, list[dict[str, Any]]]:
    """The space of ``configs``, and the params of each in it.

    A config within a config is a group. What is no plain data is left out, and noted.
    """
    found = FoundSpace()
    flat = [dict(_flat(config)) for config in configs]
    seen: dict[str, list[Any]] = {}
    for config in flat:
        for name, value in config.items():
            seen.setdefault(name, []).append(value)
    for name, values in seen.items():
        if not all(map(_is_plain, values)):
            found.notes.append(f"{name}: is left out: its values are pickled, or no plain data")
            continue
        found.parameters[found.add_name(name, name.replace("/", "."))] = _parameter(values)
    known = [{name: config[name] for name in found.names if name in config} for config in flat]
    found.add_conditions(known)
    return found, [{found.names[name]: value for name, value in config.items()} for config in known]


def _flat(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """As Tune names them: ``optimizer/lr``."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value.get("_type") != _PICKLE:
            yield from _flat(value, f"{above}{key}/")
        else:
            yield above + key, value


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not isinstance(value, Mapping) or _PICKLE not in value.values()


def _parameter(values: Sequence[Any]) -> dict[str, Any]:
    members = {identity(value): value for value in values}
    if len(members) == 1:
        return {"value": values[0]}
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
    if not numbers or 2 * len(members) <= len(values):
        return {"values": _ordered(list(members.values()), numbers)}
    low, high = min(values), max(values)
    whole = all(isinstance(value, int) for value in values)
    kind = ("int_" if whole else "") + (
        "log_uniform_values" if _is_logarithmic(list(members.values())) else "uniform"
    )
    if not whole:
        low, high = _rounded(low, ROUND_FLOOR), _rounded(high, ROUND_CEILING)
    return {"distribution": kind, "min": low, "max": high}


def _rounded(number: float, way: str) -> float:
    """To three digits."""
    exact = Decimal(repr(number))
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), way)) if number else 0.0


def _ordered(values: list[Any], numbers: bool) -> list[Any]:
    return sorted(values) if numbers else values


def _is_logarithmic(numbers: Sequence[float]) -> bool:
    """Whether ``numbers`` are likelier to come from a logarithmic range than from a plain one.

    The range is from the least to the most; so only those between have a likelihood.
    """
    low, *inner, high = sorted(numbers)
    if low <= 0:
        return False
    spread = math.log(high) - math.log(low)
    if not spread:
        return False  # whole numbers, so large that no float tells them apart
    logarithmic = -sum(map(math.log, inner)) - len(inner) * math.log(spread)
    return logarithmic > -len(inner) * math.log(high - low)
