"""A training function with validations that are kept by `once`."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import torch
from once_light import note
from torch import nn


def validate(weights: dict[str, torch.Tensor]) -> float:
    note(Path(os.environ["ONCE_LOG"]), "validate")
    random.random(), np.random.rand()
    return float(sum(weight.sum() for weight in weights.values()) + torch.rand(()))


def validated(trial) -> None:
    """Noisy training; each epoch ends with a validation that is kept, and one more safe point."""
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = trial.loader(torch.arange(24.0).reshape(8, 3), batch_size=2, shuffle=True)
    trial.track(model=model, optimizer=optimizer)
    for epoch in trial.epochs(3):
        for batch in loader:
            noise = torch.randn(()) + random.random() + np.random.rand()
            loss = (model(batch / 24).mean() - noise).square()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            trial.step()
        trial.report(loss=trial.once(f"validate-{epoch}", validate, model.state_dict()))
