"""Colours by what they mean, in one place.

Blue and orange of Okabe and Ito (Color Universal Design, 2008), which people with any kind of
colour blindness tell apart; what matters is said by a word or a symbol besides. Where the
background is not known they are of a lightness that reads on a dark and on a light one. rich takes
the nearest colours that a terminal has, and none under ``NO_COLOR``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from rich.console import Console
from rich.theme import Theme

from sweep.errors import UsageError
from sweep.spec.suggestion import listed

VARIABLE = "SWEEP_THEME"
"""The environment variable that chooses a theme."""

COLOURS: Mapping[str, tuple[str, str]] = {
    "auto": ("#2b88c8", "#c66900"),
    "dark": ("#56b4e9", "#e69f00"),
    "light": ("#0072b2", "#b84f00"),
}
"""Theme -> the colours of what goes well, and of what wants a look."""


def theme(name: str) -> Theme:
    """The styles of a theme: ``sweep.good``, ``sweep.warn``, ``sweep.head`` and so on."""
    good, warn = COLOURS[name]
    return Theme(
        {
            "sweep.head": "bold",
            "sweep.strong": "bold",
            "sweep.quiet": "dim",
            "sweep.good": good,
            "sweep.warn": f"bold {warn}",
        }
    )


def chosen(environment: Mapping[str, str]) -> str:
    """The theme for a terminal: ``SWEEP_THEME``, else what the terminal says of its background.

    Raises:
        UsageError: ``SWEEP_THEME`` names none.
    """
    name = environment.get(VARIABLE)
    if name:
        if name not in COLOURS:
            raise UsageError(f"{VARIABLE}: {name!r} is no theme; there is {listed(COLOURS)}")
        return name
    background = environment.get("COLORFGBG", "").rpartition(";")[2]  # rxvt, Konsole, iTerm
    if background.isdecimal():
        return "light" if int(background) in (7, *range(9, 16)) else "dark"
    return "auto"


def themed_console() -> Console:
    """A console for the standard output that knows the styles.

    Raises:
        UsageError: as `chosen`.
    """
    return Console(highlight=False, markup=False, theme=theme(chosen(os.environ)))
