"""Trials that end in every way: complete, pruned by a threshold, and with an exception."""

from __future__ import annotations

import sweep


def train(trial: sweep.Trial) -> None:
    """The loss follows lr and kind; the worst trials go above 100, and trial 3 raises."""
    for epoch in trial.epochs(3):
        if trial.number == 3:
            raise RuntimeError("=no luck\x1b[0m")
        trial.state["epoch"] = epoch
        penalty = 0.0 if trial.params.kind == "adam" else 0.5
        worst = 1000.0 if trial.number in (2, 7) else 0.0
        trial.report(loss=trial.params.lr + penalty + worst + 1 / (epoch + 1), epoch=float(epoch))
