"""Trials of nine epochs that log which they execute; what they sum up shows one done twice."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from shapes import tracked

import sweep

LOG = Path(__file__).with_name("epochs.log")


def train(trial: sweep.Trial) -> None:
    total = tracked(trial)
    for epoch in trial.epochs(9):
        total.value += trial.params.x + random.random() / 100
        time.sleep(float(os.environ.get("EPOCH_S", "0")))
        with LOG.open("a") as file:
            file.write(f"{trial.number} {epoch}\n")
        trial.report(loss=total.value / (epoch + 1))


def stopped(trial: sweep.Trial) -> None:
    """As `train`, but the driver of trial 5 is told to end, once."""
    marker = LOG.with_name("stopped")
    if trial.number == 5 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGTERM)
    train(trial)


def dies(trial: sweep.Trial) -> None:
    """As `train`, but each trial fails once between a report at a rung and the end of its epoch."""
    total = tracked(trial)
    for epoch in trial.epochs(9):
        total.value += trial.params.x
        trial.report(loss=total.value / (epoch + 1))
        marker = LOG.with_name(f"died-{trial.number}")
        if epoch == 2 and not marker.exists():
            marker.touch()
            raise RuntimeError("once")
