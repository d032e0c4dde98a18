"""A training that has a real SIGTERM sent to the driver at a place of its choice."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import torch

import sweep

HERE = Path(__file__).parent


def cut(place: str, times: int = 1) -> None:
    """Send the signal, the first time that ``place`` is the one that was asked for."""
    wanted = HERE / "cut"
    if wanted.exists() and wanted.read_text() == place:
        wanted.unlink()
        for _ in range(times):
            os.kill(int((HERE / "pid").read_text()), signal.SIGTERM)


def between_files(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: a file of a checkpoint was written, and its manifest was not yet."""
    saving = threading.current_thread() is not threading.main_thread()
    if event == "open" and saving and "/manifests/" in str(arguments[0]):
        cut("saving")


sys.addaudithook(between_files)


def train(trial: sweep.Trial) -> None:
    torch.manual_seed(trial.number)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    data = torch.arange(48.0).reshape(16, 3) / 48
    loader = trial.loader(data, batch_size=2, shuffle=True)
    trial.track(model=model, optimizer=optimizer)
    cut("first")
    for epoch in trial.epochs(3):
        for batch in loader:
            optimizer.zero_grad()
            model(batch + torch.rand(())).square().mean().backward()
            optimizer.step()
            if (epoch, trial.global_step) == (1, 11):
                cut("training")
            trial.step()
        if epoch == 1:
            cut("validation")
            cut("twice", 2)
        trial.report(loss=float(sum(p.double().sum() for p in model.parameters())))
