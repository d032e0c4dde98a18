"""Trial functions of several processes, in a module of their own as a user's would be."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from trial_programs import Points, network

LARGE = 100_000
"""Elements of a tensor that has a file of its own."""


def train(trial):
    return trial.spawn(train_rank, world_size=int(os.environ.get("RANKS", "2")))


def train_alone(trial):
    """What a trial of several processes might have been before."""
    train_rank(trial)


def train_rank(trial):
    """Gradients are averaged; each rank has noise, buffers and a large tensor of its own, too."""
    torch.manual_seed(trial.seed)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    same = nn.Linear(LARGE, 1, bias=False).requires_grad_(False)
    torch.manual_seed(trial.seed + 1 + trial.rank)
    own = nn.Linear(LARGE, 1, bias=False).requires_grad_(False)
    loader = trial.loader(Points(23), batch_size=4, shuffle=True)
    trial.track(model=model, optimizer=optimizer, same=same, own=own)
    events = Events(trial)
    for epoch in trial.epochs(trial.params.get("epochs", 3)):
        for points, labels in loader:
            noise = torch.randn(()) + random.random() + np.random.rand()
            loss = nn.functional.cross_entropy(model(points), labels) + noise * 0.01
            optimizer.zero_grad()
            loss.backward()
            for parameter in model.parameters():
                parameter.grad = averaged(parameter.grad)
            optimizer.step()
            own.weight[0, :10] += noise
            trial.state["total"] = trial.state.get("total", 0.0) + float(loss.detach())
            events.happen()
            trial.step()
        trial.report(loss=averaged(torch.tensor(trial.state["total"])).item(), epoch=epoch)
    return averaged(torch.tensor(trial.state["total"])).item()


def train_uneven(trial):
    return trial.spawn(uneven, world_size=2)


def uneven(trial):
    """The rank that the environment's ``AHEAD`` names has a batch more than the other."""
    trial.track(model=nn.Linear(2, 2))
    for epoch in trial.epochs(2):
        ours = trial.rank == int(os.environ["AHEAD"]) and epoch == 1
        for _ in range(4 if ours else 3):
            averaged(torch.ones(2))
            trial.step()


def averaged(tensor):
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor / (dist.get_world_size() if dist.is_initialized() else 1)


class Events:
    """What the environment's ``EVENT`` says: ``what rank step mark``. It happens once."""

    def __init__(self, trial) -> None:
        self._trial = trial
        self._what, rank, at, mark = os.environ.get("EVENT", "nothing 0 0 /").split()
        self._rank, self._at, self._mark = int(rank), int(at), Path(mark)
        # All ranks look before any of them can leave the mark: they average first.
        self._due = not self._mark.exists()

    def happen(self) -> None:
        trial = self._trial
        if not self._due or trial.global_step != self._at:
            return
        what, ours = self._what, trial.rank == self._rank
        if ours:
            self._mark.touch()
        if ours and what == "raise":
            raise ValueError("a bad batch")
        if ours and what == "astray":
            trial.checkpoint()
        if ours and what.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, what))
        if what == "SIGTERM" and trial.rank == 0:
            stopping = threading.Event()
            trial._session.when_stopping(stopping.set)
            assert stopping.wait(60)
