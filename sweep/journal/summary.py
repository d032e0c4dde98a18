"""A study at a glance, kept beside its tables, so that nobody has to read its journal for that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sweep import fsio

FORMAT = 1
"""Version of the record; one of another version is made anew."""


def write_summary(record: Mapping[str, Any], newest: int, tables: Path) -> None:
    """Keep ``record``, which is of the event ``newest``, in the directory of the tables."""
    fsio.make_directory(tables)
    content = {"format": FORMAT, "newest": newest, "summary": record, "digest": _digest(record)}
    with fsio.writing(tables / "summary.json") as file:
        file.write(json.dumps(content).encode())


def read_summary(newest: int, tables: Path) -> dict[str, Any] | None:
    """The record of the event ``newest``, if that is what was kept."""
    try:
        content = json.loads((tables / "summary.json").read_bytes())
    except (OSError, ValueError, RecursionError):  # it is derived: what is not there is made anew
        return None
    match content:
        case {"format": 1, "newest": int(known), "summary": dict(record)} if known == newest:
            whole = content.get("digest", None) == _digest(record)
            # Those of an older sweep have none.
            return record if whole or ("digest" not in content and _is_summary(record)) else None
    return None


def _digest(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _is_summary(record: Mapping[str, Any]) -> bool:
    match record:
        case {
            "metric": str(),
            "goal": str(),
            "objectives": [*objectives],
            "trials": int(),
            "total": int(),
            "status": str(),
            "states": dict(states),
            "best": None | {"trial": int(), "value": int() | float(), "params": dict()},
            "front": None | [*_],
        }:
            named = all(
                isinstance(each, dict) and isinstance(each.get("name"), str) for each in objectives
            )
            return named and all(isinstance(count, int) for count in states.values())
    return False
