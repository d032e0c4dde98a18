"""Values, counts, times and sizes in texts for people."""

from __future__ import annotations

import math
from typing import Any


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """``1 trial`` or ``3 trials``; ``plural`` where it is not the noun with an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def bytes_text(count: int) -> str:
    """A size for people, in powers of 1000: ``512 B``, ``3.4 MB``, ``20 GB``."""
    size, units = float(count), ["B", "kB", "MB", "GB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}" if size < 999.5 else f"{size:.0f} {units[0]}"


def text(value: Any) -> str:
    """A value for people: four significant digits, a dash for nothing."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def duration_text(seconds: float | None) -> str:
    """A time for people: ``8.3s``, ``2m05s``, ``3h20m``, ``4d02h``."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02d}m"
    return f"{hours // 24}d{hours % 24:02d}h"


def printable(text: str) -> str:
    """``text`` with an escape for half of a surrogate pair, which no file can hold: ``\\ud800``."""
    return text.encode("utf-8", "backslashreplace").decode()
