"""A study at a glance, kept beside its tables, so that nobody has to read its journal for that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep import fsio

FORMAT = 1
"""Version of the record; one of another version is made anew."""


def write_summary(record: Mapping[str, Any], newest: int, tables: Path) -> None:
    """Keep ``record``, which is of the event ``newest``, in the directory of the tables."""
    fsio.make_directory(tables)
    content = {"format": FORMAT, "newest": newest, "summary": record}
    with fsio.writing(tables / "summary.json") as file:
        file.write(json.dumps(content).encode())


def read_summary(newest: int, tables: Path) -> dict[str, Any] | None:
    """The record of the event ``newest``, if that is what was kept."""
    try:
        content = json.loads((tables / "summary.json").read_bytes())
    except (OSError, ValueError):  # it is derived: what is not there is made anew
        return None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return None
    found: dict[str, Any] | None = content["summary"] if content.get("newest") == newest else None
    return found
