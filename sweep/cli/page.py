"""Long tables in pages, so that a command answers at once however much there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from sweep.errors import UsageError

ROWS = 500
"""Rows of one page."""

T = TypeVar("T")


def page_of(rows: Sequence[T], number: int | None, what: str) -> tuple[Sequence[T], str | None]:
    """The rows of page ``number`` (from 1; None: the last one), and a line that says which they
    are; no line where all fit on one page. ``what`` they are, in the plural.

    Raises:
        UsageError: there is no such page.
    """
    pages = max(1, math.ceil(len(rows) / ROWS))
    number = pages if number is None else number
    if number > pages:
        raise UsageError(f"--page {number}: there are {len(rows):,} {what}, on pages 1 to {pages}")
    begin = (number - 1) * ROWS
    chosen = rows[begin : begin + ROWS]
    if pages == 1:
        return chosen, None
    return chosen, (
        f"page {number} of {pages}: {what} {begin + 1:,} to {begin + len(chosen):,} of "
        f"{len(rows):,}, in their order; another one: --page N, all of them: --json"
    )
