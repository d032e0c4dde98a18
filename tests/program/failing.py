"""Trials that fail in one way or another."""

from __future__ import annotations

import math
from pathlib import Path

import sweep


def in_quarters(trial: sweep.Trial) -> float:
    """Raises, is NaN, is too good to be true, or is a result: by the quarter that x lies in."""
    x = trial.params.x
    if x > 0.75:
        raise ValueError(f"x is {x}")
    if x > 0.5:
        return math.nan
    return -math.inf if x > 0.25 else x


class PickyError(Exception):
    """What the user's own code raises."""


def _deep(x: float, depth: int) -> None:
    if depth:
        _deep(x, depth - 1)
    raise PickyError(f"x is {x}")


def alike(trial: sweep.Trial) -> None:
    """Always raises at the same place, with another message each time."""
    _deep(trial.params.x, 3)


def at_many_places(trial: sweep.Trial) -> None:
    """Raises, in four ways."""
    raise (KeyError, IndexError, ValueError, TypeError)[trial.number % 4]


def first_ones(trial: sweep.Trial) -> float:
    """The first trial comes to a result, all others raise alike."""
    if trial.number == 0:
        return 1.0
    return _deep(trial.params.x, 0) or 0.0


def unless_mended(trial: sweep.Trial) -> float:
    """Raises alike, until there is a file that says that the code is mended."""
    if not Path(__file__).with_name("mended").exists():
        _deep(trial.params.x, 1)
    return float(trial.params.x)


def silent(trial: sweep.Trial) -> None:
    """Reports nothing at all."""


def silent_at_first(trial: sweep.Trial) -> None:
    """The first trial reports nothing, the others do."""
    if trial.number:
        trial.report(loss=trial.params.x)


def misnamed(trial: sweep.Trial) -> None:
    """Reports its metric by a name that is nearly right."""
    trial.track()
    for _ in trial.epochs(3):
        trial.report(val_los=1.0, accuracy=0.5)
