"""Colours: they read on their background, and differ for whoever sees fewer of them."""

from __future__ import annotations

import math

import pytest
from rich.color import Color
from rich.console import Console
from rich.text import Text

from sweep.cli.theme import COLOURS, chosen, theme
from sweep.errors import UsageError

BACKGROUNDS = {"dark": ["#000000", "#1e1e1e", "#002b36"], "light": ["#ffffff", "#fdf6e3"]}
BACKGROUNDS["auto"] = BACKGROUNDS["dark"] + BACKGROUNDS["light"]

LEGIBLE = {"dark": 4.5, "light": 4.5, "auto": 3.0}
"""Contrasts of WCAG 2.1, 1.4.3: of text, and of large text, which bold text is near to."""

VISION = {
    "protanopia": [(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
                   (-0.003882, -0.048116, 1.051998)],
    "deuteranopia": [(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
                     (-0.011820, 0.042940, 0.968881)],
    "tritanopia": [(1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602),
                   (0.004733, 0.691367, 0.303900)],
}  # fmt: skip
"""What is left of linear RGB: Machado, Oliveira and Fernandes, 2009, severity 1."""


def linear(colour: str) -> list[float]:
    triplet = Color.parse(colour).get_truecolor()
    shares = (each / 255 for each in triplet)
    return [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    ]


def contrast(one: str, other: str) -> float:
    weights = (0.2126, 0.7152, 0.0722)
    lights = [
        sum(weight * part for weight, part in zip(weights, linear(colour), strict=True))
        for colour in (one, other)
    ]
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("name", COLOURS)
def test_colours_read_on_their_backgrounds(name: str) -> None:
    """Text in them is legible on what a terminal has behind it."""
    for colour in COLOURS[name]:
        for background in BACKGROUNDS[name]:
            assert contrast(colour, background) >= LEGIBLE[name], (colour, background)


def hue_distance(one: str, other: str, kind: str) -> float:
    """How far two colours are apart but for their lightness, for a kind of vision."""
    hues = []
    for colour in (one, other):
        seen = [sum(map(math.prod, zip(row, linear(colour), strict=True))) for row in VISION[kind]]
        hues.append([part / sum(seen) for part in seen])
    return math.dist(*hues)


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("kind", VISION)
def test_the_colour_blind_tell_them_apart(name: str, kind: str) -> None:
    """What goes well and what does not have other hues for every kind of vision."""
    assert hue_distance("#ff0000", "#00ff00", "deuteranopia") < 0.1  # as red and green have not
    assert hue_distance(*COLOURS[name], kind) > 0.4


def test_a_theme_is_chosen_by_name_or_by_what_the_terminal_says() -> None:
    """What is not known is said to be neither."""
    assert chosen({}) == "auto"
    assert chosen({"COLORFGBG": "15;0"}) == "dark"
    assert chosen({"COLORFGBG": "0;default;15"}) == "light"
    assert chosen({"COLORFGBG": "15;0", "SWEEP_THEME": "light"}) == "light"
    assert chosen({"COLORFGBG": "what", "SWEEP_THEME": ""}) == "auto"
    with pytest.raises(UsageError, match="SWEEP_THEME: 'pink' is no theme"):
        chosen({"SWEEP_THEME": "pink"})


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who wants no colours gets none."""

    def printed() -> str:
        console = Console(theme=theme("dark"), force_terminal=True, color_system="truecolor")
        with console.capture() as capture:
            console.print(Text("x", "sweep.warn"))
        return capture.get()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "38;2;230;159;0" in printed()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "38;" not in printed()
