"""What the golden studies train: curves that follow from the parameters, and a small state."""

from __future__ import annotations

import math
import time

import torch

import sweep

EPOCHS = 9


def train(trial: sweep.Trial) -> None:
    """A loss that falls towards a floor which lies at ``lr`` = 0.1."""
    weights = torch.zeros(64)
    trial.track(weights=Holder(weights))
    for epoch in trial.epochs(EPOCHS):
        weights += trial.params.lr
        time.sleep(0.01)
        trial.report(loss=_loss(trial, epoch), cost=float(trial.params.lr * (epoch + 1)))


def fails_at_times(trial: sweep.Trial) -> float:
    """Trial 1 raises, trial 2 is NaN, trial 4 reports infinity."""
    if trial.number == 1:
        raise ValueError("no luck")
    time.sleep(0.02)
    return {2: math.nan, 4: math.inf}.get(trial.number, _loss(trial, EPOCHS))


class Holder:
    """Something to track: it has a state."""

    def __init__(self, weights: torch.Tensor) -> None:
        self.weights = weights

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"weights": self.weights}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.weights.copy_(state["weights"])


def _loss(trial: sweep.Trial, epoch: int) -> float:
    floor = abs(math.log10(trial.params.lr) + 1.0)
    return floor + 2.0 ** -(epoch + 1) * (3.0 if trial.params.kind == "slow" else 1.0)
