"""A trial of two processes that average their gradients, and log what they execute."""

from __future__ import annotations

import os
import time

import torch
import torch.distributed as dist
from exact import log
from torch.utils.data import TensorDataset

import sweep


def train(trial: sweep.Trial) -> dict[str, float] | None:
    return trial.spawn(train_rank, world_size=2)


def train_rank(trial: sweep.Trial) -> None:
    data = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(trial.seed)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=trial.params.lr)
    loader = trial.loader(TensorDataset(data), batch_size=4, shuffle=True)
    trial.track(model=model, optimizer=optimizer)
    log("begin", trial.number, trial.rank)
    for epoch in trial.epochs(trial.params.epochs):
        total = torch.zeros(())
        for (batch,) in loader:
            loss = (model(batch + torch.randn(())) - batch.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            for parameter in model.parameters():
                dist.all_reduce(parameter.grad)
            optimizer.step()
            total += loss.detach()
            time.sleep(float(os.environ.get("STEP_S", "0")))
            log("step", trial.number, trial.rank)
            trial.step()
        dist.all_reduce(total)
        trial.report(loss=total.item(), epoch=epoch)
