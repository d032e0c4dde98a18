"""Trials with a bug that is mended while their study is under way: a file says so."""

from __future__ import annotations

import math
import time
from pathlib import Path

import sweep

MENDED = Path(__file__).with_name("mended")
GO = Path(__file__).with_name("go")


def executed(trial: sweep.Trial, epoch: int) -> None:
    with Path(__file__).with_name(f"executed-{trial.number}").open("a") as file:
        file.write(f"{epoch}\n")


def train(trial: sweep.Trial) -> None:
    """Odd trials raise in their third epoch."""
    trial.state.setdefault("epochs", 0)
    for epoch in trial.epochs(4):
        executed(trial, epoch)
        trial.state["epochs"] += 1
        if trial.number % 2 and epoch == 2 and not MENDED.exists():
            raise ValueError("a bug")
        trial.report(loss=trial.params.x + trial.state["epochs"], x=trial.params.x)


def is_nan(trial: sweep.Trial) -> float:
    """Odd trials come to their end, and to NaN."""
    trial.track()
    for epoch in trial.epochs(2):
        executed(trial, epoch)
        trial.report(epoch=float(epoch))
    return math.nan if trial.number % 2 and not MENDED.exists() else trial.params.x


def waits(trial: sweep.Trial) -> None:
    """The first trial fails at once, the second reports until a file lets it end."""
    trial.track()
    for epoch in trial.epochs(100_000):
        if trial.number == 0 and not MENDED.exists():
            raise ValueError("a bug")
        trial.report(loss=float(epoch))
        if trial.number == 0 or GO.exists():
            break
        time.sleep(0.005)


def stuck_first(trial: sweep.Trial) -> float:
    """The first trial never comes to a safe point."""
    executed(trial, 0)
    while trial.number == 0:
        time.sleep(0.05)
    return 1.0


def slow(trial: sweep.Trial) -> float:
    """The second trial takes long, until a file says that it is mended."""
    trial.track()
    for epoch in trial.epochs(1_000):
        trial.report(loss=float(epoch))
        if trial.number != 1 or MENDED.exists():
            break
        time.sleep(0.01)
    return 1.0


def two(trial: sweep.Trial) -> dict[str, float]:
    """Two objectives that are at odds."""
    return {"a": trial.params.x, "b": 1.0 - trial.params.x}


def prints(trial: sweep.Trial) -> float:
    """Prints until a file lets it end."""
    trial.track()
    for epoch in trial.epochs(100_000):
        print(f"line {epoch}", flush=True)  # noqa: T201  what is to be logged
        if GO.exists():
            break
        time.sleep(0.05)
    print("done")  # noqa: T201
    return 1.0
