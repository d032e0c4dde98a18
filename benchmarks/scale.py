"""What a long study costs its driver: memory, and trials a second, from the first to the last.

Trials end at once, so that all that is measured is the driver: search, journal, fold and loop, as
they are under `sweep run`. Each study has a process of its own. Where the backend is ``instant``
(the default) slots answer from the driver's own thread, with ``ray`` they are Ray's workers.
Run: ``python benchmarks/scale.py [BACKEND [TRIALS ...]]``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import sweep
from sweep.cli.observer import QuietObserver
from sweep.driver import heap
from sweep.driver.backend import Backend, Handler, Key
from sweep.driver.driver import Driver
from sweep.driver.prepare import open_study, request_run
from sweep.driver.stopping import StopSignals
from sweep.driver.study import DrivenStudy
from sweep.errors import SweepError
from sweep.journal.event import Entry, TrialFinished
from sweep.spec import Resources, StudySpec
from sweep.trial.message import Assignment, Ended, Verdict
from sweep.trial.outcome import Outcome

SLOTS, THOUSAND = 2, 1000
GOALS_MB = {20_000: 300, 100_000: 800}
"""Driver's resident memory at its peak, by the number of trials."""
STEADY = 0.7
"""The goal for the rate over the last trials, as a part of that over the first."""


def trial(trial: sweep.Trial) -> float:
    return float(trial.params.x) ** 2


class Instant:
    """Slots whose trials end at once, with the result that `trial` would give."""

    name = "instant"

    def __init__(self) -> None:
        self._pending: list[Assignment] = []
        self.fault: SweepError | None = None

    def open(self) -> None:
        heap.begin()

    def prepare(self, program: str, project: str, resources: Resources, count: int) -> None:
        pass

    def slots(self, resources: Resources) -> int:
        return SLOTS

    def room(self, resources: Resources, project: str) -> bool:
        return len(self._pending) < SLOTS

    def shortage(self, resources: Resources) -> str | None:
        return None

    def dispatch(self, assignment: Assignment, resources: Resources) -> None:
        self._pending.append(assignment)

    def poll(self, timeout: float, handle: Handler) -> None:
        if not self._pending:
            return
        assignment = self._pending.pop(0)
        loss = float(assignment.params["x"]) ** 2
        handle(Key.of(assignment), Ended(outcome=Outcome.COMPLETE, returned={"loss": loss}))

    def command(self, key: Key, verdict: Verdict) -> None:
        pass

    def interrupt(self) -> None:
        pass

    def kill(self, key: Key) -> None:
        pass

    def close(self) -> None:
        heap.end()


def backend_of(name: str) -> Backend:
    if name == "instant":
        return Instant()
    from sweep.driver.cluster import RayBackend

    return RayBackend()


class Pace(QuietObserver):
    """Processor seconds of the driver when each thousand trials was finished, durably."""

    def __init__(self) -> None:
        self.spent = [time.process_time()]
        self._count = 0

    def entry(self, study: DrivenStudy, entry: Entry) -> None:
        if isinstance(entry.event, TrialFinished):
            self._count += 1
            if self._count % THOUSAND == 0:
                self.spent.append(time.process_time())

    @property
    def rates(self) -> list[float]:
        """Trials for each second of the processor, by thousands."""
        return [THOUSAND / (after - before) for before, after in pairwise(self.spent)]


def memory_mb(field: str) -> float:
    """Resident memory of this process: ``VmRSS`` now, ``VmHWM`` at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def spec_of(trials: int, method: str) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "scale",
            "program": "scale:trial",
            "method": method,
            "metric": {"name": "loss"},
            "parameters": {
                "x": {"min": 0.0, "max": 1.0},
                "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
                "optimizer": {"values": ["sgd", "adam"]},
            },
            "trials": trials,
            "concurrency": SLOTS,
        }
    )


def run(backend_name: str, trials: int) -> dict[str, Any]:
    """What the driver of a study takes, from its first to its last trial."""
    spec = spec_of(trials, "random")
    project = str(Path(__file__).parent)
    pace, backend = Pace(), backend_of(backend_name)
    with tempfile.TemporaryDirectory() as store:
        backend.open()
        try:
            backend.prepare(spec.program, project, spec.resources, SLOTS)
            study = open_study(request_run(Path(store), spec, project))
            empty, begun = memory_mb("VmRSS"), time.perf_counter()
            Driver([study], backend, pace, StopSignals(), grace=10).run()
            taken = time.perf_counter() - begun
        finally:
            backend.close()
    return {
        "empty": empty,
        "peak": memory_mb("VmHWM"),
        "taken": taken,
        "first": pace.rates[0],
        # The last thousands together: a collection or a merge that falls into one is not its rate.
        "last": statistics.mean(pace.rates[-max(1, len(pace.rates) // 4) :]),
    }


def verdict(reached: bool, goal: str) -> str:
    return f"{goal}: {'reached' if reached else 'missed'}"


def measure(backend: str, trials: int) -> None:
    line = [sys.executable, __file__, backend, str(trials), "--alone"]
    result = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(result.stdout.splitlines()[-1])
    goal = GOALS_MB.get(trials)
    within = "" if goal is None else f" ({verdict(found['peak'] <= goal, f'goal {goal} MB')})"
    steady = verdict(found["last"] >= STEADY * found["first"], f"goal {STEADY:g} of the first")
    print(
        f"{trials:,} trials, {backend}: driver {found['peak']:.0f} MB at its peak, "
        f"{found['empty']:.0f} MB before the first{within}; {trials / found['taken']:.0f} "
        f"trials/s; for a second of the driver's processor {found['first']:.0f} over the first "
        f"thousand, {found['last']:.0f} over the last quarter ({steady})",
        flush=True,
    )


def main() -> None:
    backend = sys.argv[1] if len(sys.argv) > 1 else "instant"
    counts = [int(each) for each in sys.argv[2:] if each != "--alone"] or [*GOALS_MB]
    for trials in counts:
        if "--alone" in sys.argv:
            print(json.dumps(run(backend, trials)))
        else:
            measure(backend, trials)


if __name__ == "__main__":
    main()
