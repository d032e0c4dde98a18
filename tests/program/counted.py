"""A trial whose state follows from its epoch: whoever restores it can tell whether it is whole.

Its metric is NaN at every third epoch; trial 0 forks itself now and then.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import sweep

SIZE = 40_000  # of float64: more than what is shared at least


class Counted:
    """Counts epochs."""

    def __init__(self) -> None:
        self.epochs = 0

    def state_dict(self) -> dict[str, Any]:
        epochs = self.epochs
        return {
            "frozen": np.zeros(SIZE),
            "own": np.full(SIZE, epochs),
            "small": np.full(5, epochs),
            "epochs": epochs,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]
        for name, expected in self.state_dict().items():
            if not np.array_equal(state[name], expected):
                raise ValueError(f"{name} is not that of epoch {self.epochs}")


def train(trial: sweep.Trial) -> None:
    counted = Counted()
    trial.track(counted=counted)
    for epoch in trial.epochs(trial.params.epochs):
        if counted.epochs != epoch:
            raise ValueError(f"restored is epoch {counted.epochs}, but it goes on with {epoch}")
        counted.epochs += 1
        if trial.number == 0 and epoch % 20 == 10:
            trial.fork(x=epoch / 1000)
        trial.report(loss=math.nan if epoch % 3 == 0 else float(epoch * 5 % 11))
