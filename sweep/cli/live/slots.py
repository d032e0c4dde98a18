"""Which line of the view a trial has."""

from __future__ import annotations

from collections.abc import Collection

Key = tuple[str, int]
"""A study's name and the number of a trial."""


class Slots:
    """Lines for trials that are executed: each keeps its own until it ends."""

    def __init__(self) -> None:
        self._lines: list[Key | None] = []

    def place(self, executing: Collection[Key]) -> list[Key | None]:
        """The trial of each line. One that begins takes the first line that is free."""
        there = set(executing)
        lines = [key if key in there else None for key in self._lines]
        held = set(lines)
        for key in executing:
            if key not in held:
                if None in lines:
                    lines[lines.index(None)] = key
                else:
                    lines.append(key)
        while lines and lines[-1] is None:
            lines.pop()
        self._lines = lines
        return list(lines)
