"""Which of many things are drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from sweep.quantity import counted

Item = TypeVar("Item")


def evenly(items: Sequence[Item], limit: int) -> list[Item]:
    """At most ``limit`` of ``items`` at even distances, the first and the last among them."""
    if len(items) <= limit:
        return list(items)
    if limit < 2:
        return list(items[:limit])
    return [items[round(place * (len(items) - 1) / (limit - 1))] for place in range(limit)]


def favouring(
    items: Sequence[Item], limit: int, rank: Callable[[Item], Any], best: int
) -> list[Item]:
    """At most ``limit`` of ``items``, in their order: the ``best`` least ones by ``rank``, and of
    the others some at even distances."""
    if len(items) <= limit:
        return list(items)
    order = sorted(range(len(items)), key=lambda place: rank(items[place]))
    chosen = set(order[:best])
    rest = [place for place in range(len(items)) if place not in chosen]
    chosen |= set(evenly(rest, limit - len(chosen)))
    return [items[place] for place in sorted(chosen)]


def shown_text(shown: Collection[Any], of: Collection[Any], noun: str, how: str) -> str:
    """``300 of 10,000 trials are drawn: the best, ...``, or nothing where all are."""
    if len(shown) == len(of):
        return ""
    return f"{len(shown):,} of {len(of):,} {counted(2, noun)[2:]} are drawn: {how}."
