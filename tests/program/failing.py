"""Trials that fail in one way or another."""

from __future__ import annotations

import math

import sweep


def in_quarters(trial: sweep.Trial) -> float:
    """Raises, is NaN, is too good to be true, or is a result: by the quarter that x lies in."""
    x = trial.params.x
    if x > 0.75:
        raise ValueError(f"x is {x}")
    if x > 0.5:
        return math.nan
    return -math.inf if x > 0.25 else x
