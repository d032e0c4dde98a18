"""Trials that do what trials should not."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

import sweep

NOT_CALLABLE = 3


def raises(trial: sweep.Trial) -> None:
    raise RuntimeError(f"no luck with {trial.params.x:.3f}")


def raises_once(trial: sweep.Trial) -> None:
    """Raises in the middle of the first attempt of each trial."""
    trial.track()
    for epoch in trial.epochs(4):
        trial.report(loss=float(epoch))
        marker = Path(__file__).with_name(f"raised-{trial.number}")
        if epoch == 2 and not marker.exists():
            marker.touch()
            raise RuntimeError("once")


def dies_once(trial: sweep.Trial) -> None:
    """The worker of trial 1 is killed in its first attempt."""
    trial.track()
    for epoch in trial.epochs(6):
        marker = Path(__file__).with_name(f"died-{trial.number}")
        if trial.number == 1 and epoch == 4 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.1)
        trial.report(loss=float(epoch))


def is_nan(trial: sweep.Trial) -> float:
    return math.nan if trial.number % 2 else 1.0


def other_metric(trial: sweep.Trial) -> None:
    trial.report(accuracy=1.0)


def returns_loss(trial: sweep.Trial) -> float:
    return float(trial.params.x) ** 2


def returns_one(trial: sweep.Trial) -> float:
    """Whatever the parameters are."""
    return 1.0


def sleeps(trial: sweep.Trial) -> None:
    """Runs until it is stopped, with a safe point every few milliseconds."""
    trial.track()
    Path(__file__).with_name(f"running-{trial.number}").touch()
    for epoch in trial.epochs(100_000):
        time.sleep(0.005)
        trial.report(loss=1.0 / (epoch + 1))


def ignores_stop(trial: sweep.Trial) -> None:
    """Never comes to a safe point."""
    Path(__file__).with_name(f"running-{trial.number}").touch()
    while True:
        time.sleep(0.05)


class Counter:
    """Something to track that needs no library."""

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.count = state["count"]


def tracks_another(trial: sweep.Trial) -> None:
    """Trial 0 raises once, and then tracks its model by another name while there is a file."""
    changed = Path(__file__).with_name("changed")
    trial.track(**{"other" if changed.exists() else "model": Counter()})
    for epoch in trial.epochs(4):
        trial.report(loss=float(epoch))
        if epoch == 2 and trial.number == 0 and not changed.exists():
            changed.touch()
            raise RuntimeError("once")


def stops_itself(trial: sweep.Trial) -> None:
    """The process of the first attempt is told to end, in the middle of trial 0."""
    trial.track()
    for epoch in trial.epochs(4):
        marker = Path(__file__).with_name("stopped")
        if epoch == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGTERM)
        trial.report(loss=float(epoch))
