"""Rows of cells that never take more room than there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a grid.

    Attributes:
        right: whether its cells stand at the right, as numbers do.
        least: it may be cut down to so many characters; None: it may not.
        spare: where there is no room, columns of the highest number go first; 0: it stays.
    """

    name: str
    right: bool = False
    least: int | None = None
    spare: int = 0


def grid(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> list[Text]:
    """The line of names, then one for each row: none is wider than ``width``."""
    names = [Text(column.name, "sweep.head") for column in columns]
    widths = [max(cell.cell_len for cell in cells) for cells in zip(names, *rows, strict=True)]
    shown = _fitted(columns, widths, width)
    return [_line(columns, row, shown, width) for row in (names, *rows)]


def _fitted(columns: Sequence[Column], widths: Sequence[int], width: int) -> dict[int, int]:
    """Which columns there is room for, and how wide each is."""
    least = [
        full if column.least is None else min(full, column.least)
        for column, full in zip(columns, widths, strict=True)
    ]
    shown = list(range(len(columns)))

    def room() -> int:
        return width - sum(least[place] for place in shown) - GAP * (len(shown) - 1)

    while room() < 0 and any(columns[place].spare for place in shown):
        shown.remove(max(shown, key=lambda place: columns[place].spare))
    for place in shown:
        least[place] += min(max(0, room()), widths[place] - least[place])
    return {place: least[place] for place in shown}


def _line(
    columns: Sequence[Column], row: Sequence[Text], shown: dict[int, int], width: int
) -> Text:
    line, gap = Text(no_wrap=True), ""
    for place, size in shown.items():
        cell = row[place].copy()
        cell.truncate(size, overflow="ellipsis")
        blank = " " * (size - cell.cell_len)
        line.append(gap)
        gap = " " * GAP
        if columns[place].right:
            line.append(blank).append_text(cell)
        else:
            line.append_text(cell).append(blank)
    line.rstrip()
    line.truncate(width, overflow="ellipsis")
    return line
