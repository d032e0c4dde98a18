"""A small convolutional network on scikit-learn's digits: 1,797 images of 8 x 8 pixels.

The data ships with scikit-learn, so nothing is downloaded. A trial takes seconds on one core.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

import sweep

VALIDATION = 450
"""Images that are held out, the last ones, as the writers differ from those of the first."""


def data() -> tuple[TensorDataset, torch.Tensor, torch.Tensor]:
    """The training set, and images (450, 1, 8, 8) with labels (450,) to validate on."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16.0
    labels = torch.tensor(digits.target)
    training = TensorDataset(images[:-VALIDATION], labels[:-VALIDATION])
    return training, images[-VALIDATION:], labels[-VALIDATION:]


class Network(nn.Module):
    """Two convolutions, one hidden layer, ten classes. Takes (batch, 1, 8, 8)."""

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * channels * 16, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 10),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def make_optimizer(params: sweep.Params, model: nn.Module) -> torch.optim.Optimizer:
    if params.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=params.lr, momentum=params.momentum, nesterov=True
        )
    return torch.optim.AdamW(model.parameters(), lr=params.lr, weight_decay=params.weight_decay)


def train(trial: sweep.Trial) -> None:
    params = trial.params
    training, images, labels = data()
    model = Network(params.channels, params.hidden, params.dropout)
    optimizer = make_optimizer(params, model)
    loader = trial.loader(training, batch_size=params.batch_size, shuffle=True)
    trial.track(model=model, optimizer=optimizer)  # restored here when the trial is resumed

    for _ in trial.epochs(params.epochs):
        model.train()
        for batch, targets in loader:
            loss = functional.cross_entropy(model(batch), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            trial.step()

        model.eval()
        with torch.no_grad():
            scores = model(images)
        trial.report(
            loss=functional.cross_entropy(scores, labels),
            accuracy=(scores.argmax(1) == labels).float().mean(),
        )
