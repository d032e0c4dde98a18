"""A trial whose checkpoints are of every content, and share a large array that never changes."""

from __future__ import annotations

from typing import Any

import numpy as np

import sweep

BACKBONE_BYTES = 400_000


class Arrays:
    """Something to track that needs no torch."""

    def __init__(self, **arrays: np.ndarray) -> None:
        self.arrays = arrays

    def state_dict(self) -> dict[str, Any]:
        return dict(self.arrays)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.arrays = state


def train(trial: sweep.Trial) -> None:
    """Three epochs, each better than the one before."""
    backbone = np.arange(BACKBONE_BYTES // 8, dtype=np.float64)
    model = Arrays(backbone=backbone, head=np.zeros(4))
    trial.track(model=model, optimizer=Arrays(momentum=np.zeros(4)))
    for epoch in trial.epochs(3):
        model.arrays["head"] += trial.params.x
        trial.report(loss=1.0 / (epoch + 1))
