"""How much of the slots' time trials get: 30 trials x 10 epochs x 0.1 s, a checkpoint each epoch.

Two slots. The ideal is 15 s; the figure is the ideal over the time from the first dispatch to the
last end, that is, after Ray is up. Run: ``python benchmarks/efficiency.py [REPEATS]``.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import sweep
from sweep.cli.observer import QuietObserver
from sweep.driver.cluster import RayBackend
from sweep.driver.driver import Driver
from sweep.driver.prepare import open_study, request_run
from sweep.driver.stopping import StopSignals
from sweep.journal.segment import read_entries
from sweep.spec import StudySpec

TRIALS, EPOCHS, EPOCH_S, SLOTS = 30, 10, 0.1, 2
IDEAL_S = TRIALS * EPOCHS * EPOCH_S / SLOTS


class Weights:
    """A megabyte of state, so that the checkpoints are not empty."""

    def __init__(self) -> None:
        self.values = np.zeros(250_000, dtype=np.float32)

    def state_dict(self) -> dict[str, np.ndarray]:
        return {"values": self.values}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.values = state["values"]


def train(trial: sweep.Trial) -> None:
    weights = Weights()
    trial.track(weights=weights)
    for epoch in trial.epochs(EPOCHS):
        time.sleep(EPOCH_S)
        weights.values += 1
        trial.report(loss=trial.params.x / (epoch + 1))


def busy_share(store: Path) -> float:
    spec = StudySpec.model_validate(
        {
            "name": "efficiency",
            "program": "efficiency:train",
            "method": "tpe",
            "metric": {"name": "loss"},
            "parameters": {"x": {"min": 0.0, "max": 1.0}},
            "trials": TRIALS,
            "concurrency": SLOTS,
        }
    )
    backend = RayBackend()
    backend.open()
    try:
        project = str(Path(__file__).parent)
        backend.prepare(spec.program, project, spec.resources, SLOTS)
        study = open_study(request_run(store, spec, project))
        Driver([study], backend, QuietObserver(), StopSignals(), grace=10).run()
    finally:
        backend.close()
    times = {"trial_dispatched": [], "trial_finished": []}
    for entry in read_entries(store / "efficiency" / "journal"):
        if entry.event.type in times:
            times[entry.event.type].append(entry.time)
    return IDEAL_S / (max(times["trial_finished"]) - min(times["trial_dispatched"]))


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    shares = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as store:
            shares.append(busy_share(Path(store)))
            print(f"{TRIALS} trials x {EPOCHS} epochs x {EPOCH_S} s: {shares[-1]:.1%} of the ideal")
    print(f"median of {repeats}: {statistics.median(shares):.1%} (goal: at least 95 %)")


if __name__ == "__main__":
    main()
