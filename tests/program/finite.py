"""A small, finite space, and a function that suggests one."""

from __future__ import annotations

import sweep


def train(trial: sweep.Trial) -> float:
    return float(sum(value for value in trial.params.values() if not isinstance(value, str)))


def define(trial: sweep.SpaceTrial) -> None:
    """Seven combinations: three and two times two."""
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        trial.suggest_int("x", 1, 3)
    else:
        trial.suggest_float("y", 0.0, 0.5, step=0.5)
        trial.suggest_categorical("z", [0, 1])
