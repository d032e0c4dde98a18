"""A trial whose loss follows from its one weight: a checkpoint shows whether it was measured.

The weight is the number of steps, and the loss its distance from ``params.target``.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import TensorDataset

import sweep

BATCHES = 8


def loss_of(weight: float, target: float) -> float:
    return abs(weight - target)


def train(trial: sweep.Trial) -> None:
    """``params.place`` says where it reports: at the end of an epoch, or among its batches before
    the training, between training and step, or after the step."""
    params = trial.params
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    loader = trial.loader(TensorDataset(torch.ones(BATCHES, 1)), batch_size=1)
    trial.track(model=model)

    def report() -> None:
        trial.report(loss=loss_of(model.weight.item(), params.target))

    for epoch in trial.epochs(params.epochs):
        for _ in loader:
            if params.place == "early":
                report()
            with torch.no_grad():
                model.weight.add_(1.0)
            if params.place == "before":
                report()
            trial.step()
            if params.place == "after":
                report()
        if params.place == "end" and epoch % params.get("each", 1) == 0:
            report()
