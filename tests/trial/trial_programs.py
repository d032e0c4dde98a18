"""Trial functions for the tests, in a module of their own as a user's would be."""

from __future__ import annotations

import math
import os
import random
from typing import Any

import numpy as np
import torch
from torch import nn

from sweep.trial.trial import Trial

FEATURES, CLASSES = 6, 3


class Points(torch.utils.data.Dataset):
    """Random points, jittered on each access by all three global generators."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(5)
        self.points = torch.randn(count, FEATURES, generator=generator)
        self.labels = torch.randint(0, CLASSES, (count,), generator=generator)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        jitter = torch.randn(FEATURES) * 0.1 + random.random() * 0.1 + np.random.rand() * 0.1
        return self.points[index] + jitter, self.labels[index]


class Stream(torch.utils.data.IterableDataset):
    """The same points in order, with a position of its own."""

    def __init__(self, count: int) -> None:
        self.points = Points(count)
        self.at = 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.at >= len(self.points):
            self.at = 0
            raise StopIteration
        self.at += 1
        return self.points.points[self.at - 1], self.points.labels[self.at - 1]

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


def network(dropout: float = 0.3) -> nn.Module:
    return nn.Sequential(
        nn.Linear(FEATURES, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(8, CLASSES),
    )


def train(trial):
    """Dropout, Adam, a schedule, augmentation, gradient accumulation and a validation set."""
    torch.set_num_threads(1)
    params = trial.params
    model = network(params.get("dropout", 0.3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, params.get("epochs", 3))
    dataset = Stream(22) if params.get("stream") else Points(22)
    options = dict(params.get("options", {"shuffle": True}))
    if "WORKERS" in os.environ:  # of the machine, not of the trial
        options["num_workers"] = int(os.environ["WORKERS"])
    if options.pop("weighted", False):
        weights = torch.arange(1.0, 23.0)
        options["sampler"] = torch.utils.data.WeightedRandomSampler(weights, 22)
    if options.pop("batched", False):
        sampler = torch.utils.data.RandomSampler(dataset, generator=torch.Generator())
        options["batch_sampler"] = torch.utils.data.BatchSampler(sampler, 4, drop_last=True)
    else:
        options["batch_size"] = 4
    loader = trial.loader(dataset, **options)
    held_out = trial.loader(Points(9), batch_size=3)
    trial.track(model=model, optimizer=optimizer, schedule=schedule, loader=loader)
    for _ in trial.epochs(params.get("epochs", 3)):
        random.random()  # drawn again on a resume, and taken back
        model.train()
        for number, (points, labels) in enumerate(loader):
            loss = nn.functional.cross_entropy(model(points), labels)
            loss.backward()
            if (number + 1) % params.get("accumulate", 1) == 0:
                optimizer.step()
                optimizer.zero_grad()
                trial.step()
        schedule.step()
        trial.report(loss=evaluate(model, held_out), lr=schedule.get_last_lr()[0])
        trial.report(noise=np.random.rand() + torch.rand(()).item())


def evaluate(model: nn.Module, loader) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return sum(nn.functional.cross_entropy(model(points), labels) for points, labels in loader)


def counting(trial):
    """Tracks nothing but its place; two steps an epoch."""
    trial.track()
    for epoch in trial.epochs(trial.params.get("epochs", 3)):
        trial.step()
        trial.report(loss=10.0 - epoch)


LOSSES = [5.0, 3.0, math.nan, 4.0, 2.0, 2.0]


def objects() -> dict[str, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    return {"model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)}


def improving(trial: Trial) -> None:
    trial.track(**objects())
    for epoch in trial.epochs(len(LOSSES)):
        trial.report(loss=LOSSES[epoch], other=float(epoch))
