"""Trials to be forked: what they report is the rate that they train with, and how far they are."""

from __future__ import annotations

import time
from pathlib import Path

import torch

import sweep

HERE = Path(__file__).parent


def train(trial: sweep.Trial) -> None:
    """Eight epochs with a schedule."""
    _train(trial, None)


def forks_itself(trial: sweep.Trial) -> None:
    """Trials that were suggested fork off another one in their third epoch."""
    _train(trial, 2)


def waits(trial: sweep.Trial) -> None:
    """Trains until there is a file ``go`` beside the project."""
    (HERE / "waiting").touch()
    while not (HERE / "go").exists():
        time.sleep(0.01)
    _train(trial, None)


def _train(trial: sweep.Trial, fork_at: int | None) -> None:
    model = torch.nn.Linear(3, trial.params.width)
    optimizer = torch.optim.SGD(model.parameters(), lr=trial.params.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    trial.track(model=model, optimizer=optimizer, schedule=schedule)
    for epoch in trial.epochs(trial.params.epochs):
        rate = optimizer.param_groups[0]["lr"]
        loss = model(torch.randn(4, 3)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        trial.report(loss=loss.item() + rate, rate=rate)
        if epoch == fork_at and trial.params.lr > 0.05:
            trial.fork(lr=0.01)
            trial.fork(lr=99.0)  # outside of the space: refused, and said so
