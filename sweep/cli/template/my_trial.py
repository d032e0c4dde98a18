"""A first trial: a small network on points of two spirals. Change it to what you want to train."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import TensorDataset

import sweep


def spirals(points: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (n, 2) on two spirals, and which of the two (n,) each is on."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.arange(points) % 2
    angle = 10 * torch.rand(points, generator=generator).sqrt()
    noise = 0.3 * torch.randn(points, 2, generator=generator)
    turn = angle + torch.pi * which
    return torch.stack([angle * turn.cos(), angle * turn.sin()], 1) + noise, which


def train(trial: sweep.Trial) -> None:
    params = trial.params
    model = nn.Sequential(
        nn.Linear(2, params.hidden), nn.Tanh(),
        nn.Linear(params.hidden, params.hidden), nn.Tanh(),
        nn.Linear(params.hidden, 2),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=params.lr)
    loader = trial.loader(
        TensorDataset(*spirals(1000, seed=1)), batch_size=params.batch_size, shuffle=True
    )
    points, which = spirals(500, seed=2)

    # What is tracked is saved with the trial, and restored here when the trial goes on.
    trial.track(model=model, optimizer=optimizer)

    for _ in trial.epochs(15):  # goes on where it was
        for batch, targets in loader:  # in the middle of an epoch, too
            loss = nn.functional.cross_entropy(model(batch), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            trial.step()  # a safe point: here the trial can be saved, stopped or pruned

        with torch.no_grad():
            right = (model(points).argmax(1) == which).float()
        trial.report(accuracy=right.mean())
