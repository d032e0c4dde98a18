"""A trial for kill tests: a small network with dropout that keeps a log of what it executes.

The log is a file beside the project to which each event is appended with one write, so that what a
killed process had written is there.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import TensorDataset

import sweep

LOG = Path(__file__).with_name("execution.log")
BATCHES = 5


def log(*words: object) -> None:
    line = " ".join(map(str, (*words, os.getpid()))) + "\n"
    descriptor = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def train(trial: sweep.Trial) -> None:
    params = trial.params
    log("begin", trial.number, 0)
    data = torch.randn(8 * BATCHES, 4, generator=torch.Generator().manual_seed(1))
    model = nn.Sequential(
        nn.Linear(4, params.width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(params.width, 1)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=params.lr)
    loader = trial.loader(TensorDataset(data), batch_size=8, shuffle=True)
    trial.track(model=model, optimizer=optimizer)
    for epoch in trial.epochs(params.epochs):
        total = trial.state.get("total", 0.0)
        for (batch,) in loader:
            loss = (model(batch) - batch.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            trial.state["total"] = total
            time.sleep(float(os.environ.get("STEP_S", "0")))
            log("step", trial.number, epoch)
            trial.step()
        trial.state["total"] = 0.0
        trial.report(loss=total / BATCHES)
        log("report", trial.number, epoch)
    log("end", trial.number, params.epochs)
