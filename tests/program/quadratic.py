"""The toy problem of figure 2 in arXiv 1711.09846, which a schedule solves and no constants do.

What is trained are two numbers; each parameter says how much one of them is trained.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import sweep

LOG = Path(__file__).parent / "execution.log"
RATE = 0.02
STEPS = 5


class Point:
    def __init__(self) -> None:
        self.place = [0.9, 0.9]

    def state_dict(self) -> dict[str, float]:
        return dict(zip("xy", self.place, strict=True))

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.place = [state["x"], state["y"]]


def space(trial: Any) -> None:
    """The same parameters, in a function."""
    trial.suggest_float("share", 0.0, 1.0, step=0.05)
    trial.suggest_int("epochs", 8, 8)


def train(trial: sweep.Trial) -> None:
    """As in the paper, the value is what is really wanted: 1.2 at best."""
    point = Point()
    trial.track(point=point)
    wait = float(os.environ.get("EPOCH_S", "0"))
    for epoch in trial.epochs(trial.params.epochs):
        with LOG.open("a") as log:
            log.write(f"epoch {trial.number} {epoch}\n")
        for _ in range(STEPS):
            # The gradient of 1.2 - h0 x^2 - h1 y^2; h0 + h1 is at most 1.
            weights = trial.params.share, 1 - trial.params.share
            point.place = [
                place - 2 * RATE * weight * place
                for place, weight in zip(point.place, weights, strict=True)
            ]
        time.sleep(wait)
        trial.report(q=1.2 - sum(place**2 for place in point.place))
