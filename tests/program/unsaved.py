"""Trials whose attempts are cut off before they save."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import sweep

LIVES = Path(__file__).with_name("lives")


def dies(trial: sweep.Trial) -> None:
    """Steps in long epochs; the process is killed at step 30, as often as a file says."""
    total = trial.state
    total.setdefault("sum", 0)
    items = trial.loader(list(range(100)), batch_size=1)
    for _ in trial.epochs(2):
        for _ in items:
            total["sum"] += 1
            lives = int(LIVES.read_text())
            if lives and total["sum"] == 30:
                LIVES.write_text(str(lives - 1))
                os.kill(os.getpid(), signal.SIGKILL)
            trial.step()
        trial.report(loss=float(total["sum"]))
