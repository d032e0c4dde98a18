"""Trials a second: this driver, with every event durable, beside Ray Tune with reused actors.

The same 1,000 trivial trials on the same Ray cluster of two slots, random search in both, one after
the other in turns. Run: ``python benchmarks/throughput.py [REPEATS [TRIALS]]``.

Tune has two speeds. When a trial ends, either its actor is at hand for the next one at once, or
Tune has already asked Ray for a placement group for another actor, which it then gives back. Which
of the two a run settles into is decided by a race; the second costs a placement group for each
trial and halves the speed. Hence the number of placement groups beside each figure.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"

import ray
from ray import tune
from ray.air.execution.resources import PlacementGroupResourceManager

import sweep
from sweep.cli.observer import QuietObserver
from sweep.driver.cluster import RayBackend
from sweep.driver.driver import Driver
from sweep.driver.prepare import open_study, request_run
from sweep.driver.stopping import StopSignals
from sweep.journal.event import TrialFinished
from sweep.journal.segment import read_entries
from sweep.spec import StudySpec

SLOTS = 2


def trial(trial: sweep.Trial) -> float:
    return float(trial.params.x) ** 2


def run_sweep(trials: int, method: str) -> float:
    """Seconds for the trials once the backend is up, the last commit included."""
    spec = StudySpec.model_validate(
        {
            "name": "throughput",
            "program": "throughput:trial",
            "method": method,
            "metric": {"name": "loss"},
            "parameters": {"x": {"min": 0.0, "max": 1.0}},
            "trials": trials,
            "concurrency": SLOTS,
        }
    )
    with tempfile.TemporaryDirectory() as store:
        backend = RayBackend()
        backend.open()
        try:
            project = str(Path(__file__).parent)
            backend.prepare(spec.program, project, spec.resources, SLOTS)
            study = open_study(request_run(Path(store), spec, project))
            begun = time.perf_counter()
            Driver([study], backend, QuietObserver(), StopSignals(), grace=10).run()
            taken = time.perf_counter() - begun
        finally:
            backend.close()
        entries = read_entries(Path(store) / "throughput" / "journal")
        assert sum(isinstance(entry.event, TrialFinished) for entry in entries) == trials
    return taken


def count_placement_groups() -> Callable[[], int]:
    """How many placement groups Tune has asked for since then."""
    count = 0
    request = PlacementGroupResourceManager.request_resources

    def counted(manager: PlacementGroupResourceManager, resource_request: Any) -> None:
        nonlocal count
        count += 1
        request(manager, resource_request)

    PlacementGroupResourceManager.request_resources = counted  # type: ignore[method-assign]

    def since() -> int:
        PlacementGroupResourceManager.request_resources = request  # type: ignore[method-assign]
        return count

    return since


def run_tune(trials: int) -> tuple[float, int]:
    """Seconds for the trials once Ray is up, and the placement groups that Tune asked for."""
    groups = count_placement_groups()
    ray.init(address="local", num_cpus=SLOTS, include_dashboard=False, logging_level="ERROR")
    try:
        with tempfile.TemporaryDirectory() as store:
            tuner = tune.Tuner(
                lambda config: {"loss": config["x"] ** 2},
                param_space={"x": tune.uniform(0.0, 1.0)},
                tune_config=tune.TuneConfig(
                    num_samples=trials,
                    metric="loss",
                    mode="min",
                    reuse_actors=True,
                    max_concurrent_trials=SLOTS,
                ),
                run_config=tune.RunConfig(storage_path=store, verbose=0),
            )
            begun = time.perf_counter()
            results = tuner.fit()
            taken = time.perf_counter() - begun
            assert len(results) == trials
    finally:
        ray.shutdown()
    return taken, groups()


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    trials = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    ours: list[float] = []
    tpe: list[float] = []
    tunes: list[float] = []
    for _ in range(repeats):
        ours.append(trials / run_sweep(trials, "random"))
        taken, groups = run_tune(trials)
        tunes.append(trials / taken)
        tpe.append(trials / run_sweep(trials, "tpe"))
        print(
            f"trials a second: sweep {ours[-1]:.0f} (random), {tpe[-1]:.0f} (TPE); "
            f"Ray Tune with reuse_actors {tunes[-1]:.1f} ({groups} placement groups); "
            f"ratio {ours[-1] / tunes[-1]:.1f}",
            flush=True,
        )
    ratio = statistics.median(a / b for a, b in zip(ours, tunes, strict=True))
    print(
        f"median of {repeats}: sweep {statistics.median(ours):.0f} (random), "
        f"{statistics.median(tpe):.0f} (TPE), Tune {statistics.median(tunes):.1f}; "
        f"ratio {ratio:.1f} (goal: at least 10)"
    )


if __name__ == "__main__":
    main()
