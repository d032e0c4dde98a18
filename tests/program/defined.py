"""A space that a function defines while it runs."""

from __future__ import annotations

from typing import Any


def space(trial: Any) -> None:
    if trial.suggest_categorical("kind", ["far", "near"]) == "far":
        trial.suggest_float("y", 0.0, 1.0, step=0.25)
    trial.suggest_float("x", 0.0, 1.0)
