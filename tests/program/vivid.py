"""A study of them has something of everything: trials that are pruned, fail, are killed."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

import sweep

FAILS, DIES = 0, 1  # before there is enough to prune by


def train(trial: sweep.Trial) -> None:
    """The loss falls towards what the parameters are worth."""
    params = trial.params
    worth = math.log10(params.lr / 0.03) ** 2 + 0.2 * (params.optimizer == "sgd") + params.dropout
    for epoch in trial.epochs(8):
        if trial.number == FAILS and epoch == 3:
            raise RuntimeError(f"no luck with lr={params.lr:.3g}")
        marker = Path(__file__).with_name("died")
        if trial.number == DIES and epoch == 5 and not marker.exists():
            marker.touch()
            time.sleep(0.3)  # what it has reported is in the journal by then
            os.kill(os.getpid(), signal.SIGKILL)
        trial.state["seen"] = trial.state.get("seen", 0) + 1
        loss = worth + 2.0 / (epoch + 1) + 4 * (trial.number % 5 == 4)
        trial.report(loss=loss, accuracy=1 / (1 + loss))
