"""The kinds of single values in a spec, each with its check and its spelling in YAML.

pydantic alone would take ``"50"`` and ``true`` for numbers; these do not.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from sweep.spec.problem import wrong
from sweep.spec.suggestion import brief, closest, listed

Kind = TypeVar("Kind", bound=StrEnum)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) *([smhd])")
_DURATIONS = re.compile(r"(?:\d+(?:\.\d+)? *[smhd] *)+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([kmgt]?)(i?)b", re.IGNORECASE)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) *%")
_LEAST_MEMORY = 1024**2
_LARGEST = sys.float_info.max


def _number(given: Any) -> Any:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise wrong(_instead("a number", given))
    if not -_LARGEST <= given <= _LARGEST:
        raise wrong(f"must be a finite number, not {brief(given)}")
    return given


def _flag(given: Any) -> Any:
    if not isinstance(given, bool):
        raise wrong(f"must be true or false, not {brief(given)}")
    return given


def whole(given: Any) -> Any:
    """An integer, also where it is written as 3.0."""
    if isinstance(given, float) and given.is_integer():
        return int(given)
    if isinstance(given, bool) or not isinstance(given, int):
        raise wrong(_instead("a whole number", given))
    return given


def _text(given: Any) -> Any:
    if isinstance(given, str) and given.strip():
        return given
    if given is None or isinstance(given, str):
        raise wrong("is empty: fill it in or remove it")
    if isinstance(given, int | float):
        raise wrong(f'must be text: write it in quotes, "{brief(given)}"')
    raise wrong(f"must be text, not {brief(given)}")


def _seconds(given: Any) -> Any:
    if not isinstance(given, str):
        return _number(given)
    if not _DURATIONS.fullmatch(given):
        raise wrong(f"must be seconds or a time such as 90s, 30m, 12h or 2d, not {brief(given)}")
    return math.fsum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION.findall(given))


def _truth(given: Any) -> Any:
    if not isinstance(given, bool):
        raise wrong(_instead("true or false", given))
    return given


def _share(given: Any) -> Any:
    if isinstance(given, str):
        percent = _PERCENT.fullmatch(given)
        if percent is None:
            raise wrong(f"must be a share such as 2% or 0.02, not {brief(given)}")
        given = float(percent[1]) / 100
    return _number(given)


def _size(given: Any) -> Any:
    if isinstance(given, str):
        size = _SIZE.fullmatch(given)
        if size is None:
            raise wrong(f"must be a size such as 512MiB or 4GB, not {brief(given)}")
        power = " kmgt".index(size[2].lower() or " ")
        given = round(float(size[1]) * (1024 if size[3] else 1000) ** power)
    return whole(given)


def _bytes(given: Any) -> Any:
    given = _size(given)
    if given < _LEAST_MEMORY:
        raise wrong(f"{given} bytes is too little for a process: write a unit, as in 4GB")
    return given


def _instead(kind: str, given: Any) -> str:
    if given is None:
        return "is empty: fill it in or remove it"
    return f"must be {kind}, not {brief(given)}"


def choice(kind: type[Kind], aliases: Mapping[str, Kind] | None = None) -> Callable[[Any], Kind]:
    """A validator that reads a member of ``kind`` by its value or one of ``aliases``."""
    members = {**{member.value: member for member in kind}, **(aliases or {})}

    def read(given: Any) -> Kind:
        if isinstance(given, str) and given in members:
            return members[given]
        near = closest(given, members) if isinstance(given, str) else None
        if near is not None:
            raise wrong(f"there is no {brief(given)}; did you mean {near}?")
        raise wrong(f"must be {listed(members, 'or')}, not {brief(given)}")

    return read


def _probability(given: Any) -> Any:
    given = _number(given)
    if not 0 <= given <= 1:
        raise wrong(f"must be between 0 and 1, not {brief(given)}")
    return given


Number = Annotated[int | float, BeforeValidator(_number), WithJsonSchema({"type": "number"})]
"""A finite number that stays an int where it was written as one."""

Flag = Annotated[bool, BeforeValidator(_flag)]
Positive = Annotated[float, Field(gt=0), BeforeValidator(_number)]
Amount = Annotated[float, Field(ge=0), BeforeValidator(_number)]
Half = Annotated[float, Field(gt=0, le=0.5), BeforeValidator(_number)]
Count = Annotated[int, Field(ge=1), BeforeValidator(whole)]
Probability = Annotated[
    float,
    BeforeValidator(_probability),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1}),
]
Factor = Annotated[int, Field(ge=2), BeforeValidator(whole)]
Natural = Annotated[int, Field(ge=0), BeforeValidator(whole)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1), BeforeValidator(whole)]
Truth = Annotated[bool, BeforeValidator(_truth)]
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})]

Seconds = Annotated[
    float,
    Field(gt=0),
    BeforeValidator(_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": f"^{_DURATIONS.pattern}$"},
            ]
        }
    ),
]
"""A time in seconds; YAML may write 90, 90s, 30m, 1h30m or 2d."""

Share = Annotated[
    float,
    Field(gt=0, lt=1),
    BeforeValidator(_share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"type": "string", "pattern": f"^{_PERCENT.pattern}$"},
            ]
        }
    ),
]
"""A part of the whole between 0 and 1; YAML may write 2% or 0.02."""

Bytes = Annotated[
    int,
    BeforeValidator(_bytes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": _LEAST_MEMORY},
                {"type": "string", "pattern": r"^\d+(?:\.\d+)? *[kKmMgGtT]?[iI]?[bB]$"},
            ]
        }
    ),
]
"""Bytes of main memory; YAML may write 4GB (powers of 1000) or 512MiB (powers of 1024)."""

Size = Annotated[
    int,
    Field(ge=1),
    BeforeValidator(_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\d+(?:\.\d+)? *[kKmMgGtT]?[iI]?[bB]$"},
            ]
        }
    ),
]
"""Bytes of files, written as `Bytes` are; there is no least amount."""
