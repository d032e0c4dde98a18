"""Counts and sizes as people read them."""

from __future__ import annotations

import pytest

from sweep.quantity import bytes_text, counted


@pytest.mark.parametrize(
    ("count", "nouns", "said"),
    [
        (0, ("checkpoint",), "0 checkpoints"),
        (1, ("checkpoint",), "1 checkpoint"),
        (2, ("bad file",), "2 bad files"),
        (1, ("process", "processes"), "1 process"),
        (3, ("process", "processes"), "3 processes"),
    ],
)
def test_one_is_no_plural(count: int, nouns: tuple[str, ...], said: str) -> None:
    """A single thing is named in the singular, none and many in the plural."""
    assert counted(count, *nouns) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (1, "1 B"), (999, "999 B"), (3_400_000, "3.4 MB"), (20_000_000_000, "20 GB")],
)
def test_sizes_have_units(count: int, said: str) -> None:
    """A size is three digits and a unit in powers of 1000."""
    assert bytes_text(count) == said
