"""Trials with two objectives that pull apart, and a metric for a constraint."""

from __future__ import annotations

import os
import time
from pathlib import Path

import sweep

LOG = Path(__file__).with_name("execution.log")


def log(*words: object) -> None:
    descriptor = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
    os.close(descriptor)


def train(trial: sweep.Trial) -> dict[str, float]:
    """The loss falls, and the size grows, with x; y is a waste of both."""
    x, y = trial.params.x, trial.params.y
    log("begin", trial.number)
    for epoch in trial.epochs(3):
        time.sleep(float(os.environ.get("STEP_S", "0")))
        trial.state["sum"] = trial.state.get("sum", 0.0) + y
        trial.report(loss=(1 - x) ** 2 + trial.state["sum"] / (epoch + 1))
        log("report", trial.number, epoch)
    return {"size": x + y, "latency_ms": 30 * x}
