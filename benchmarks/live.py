"""What the live view costs the driver, and how far `sweep top` lags behind it.

Trials report as fast as the driver takes it: without a view, with the one of `sweep run` on a
terminal, and with a `sweep top` beside, in turns. Then trials report 1,000 times a second in all,
and each event's time is held against the moment at which a document of `sweep top --json` has it.
Run: ``python benchmarks/live.py [ROUNDS [REPORTS]]``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import sweep
from sweep.cli.live.picture import lines
from sweep.cli.live.slots import Slots
from sweep.cli.live.view import Subject, view
from sweep.cli.observer import LiveObserver, QuietObserver
from sweep.cli.output import Output
from sweep.driver.cluster import RayBackend
from sweep.driver.driver import Driver
from sweep.driver.plan import Limits
from sweep.driver.prepare import open_study, request_run
from sweep.driver.stopping import StopSignals
from sweep.journal.event import (
    Entry,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialReported,
    TrialState,
    TrialTold,
)
from sweep.journal.fold import fold
from sweep.journal.segment import read_entries
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.spec import StudySpec

SLOTS = 2
RATE = 1000
GOAL_S = 1.0
SIZE = (80, 24)


def trial(trial: sweep.Trial) -> None:
    """Reports so many times, evenly over ``seconds``; at once where there are none."""
    begun, count = time.monotonic(), trial.params.reports
    for step in range(count):
        due = begun + trial.params.seconds * step / count
        time.sleep(max(0.0, due - time.monotonic()))
        trial.report(step=step, loss=1 / (step + 1))


def spec_of(name: str, trials: int, reports: int, seconds: float) -> StudySpec:
    parameters = {
        "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
        "width": {"min": 1, "max": 64},
        "reports": {"value": reports},
        "seconds": {"value": seconds},
    }
    return StudySpec.model_validate(
        {
            "name": name,
            "program": "live:trial",
            "method": "random",
            "metric": {"name": "loss"},
            "parameters": parameters,
            "trials": trials,
            "concurrency": SLOTS,
        }
    )


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """The standard output is a terminal, which another process reads as fast as it can."""
    master, slave = os.openpty()
    columns, rows = SIZE
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    reader = subprocess.Popen(
        ["cat"], stdin=master, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(master)
    with open(slave, "w") as file, contextlib.redirect_stdout(file):  # noqa: PTH123
        yield
    reader.wait()


def drive(backend: RayBackend, store: Path, spec: StudySpec, *, live: bool) -> StudyPaths:
    """Run a study to its end."""
    project = str(Path(__file__).parent)
    backend.prepare(spec.program, project, spec.resources, SLOTS)
    study = open_study(request_run(store, spec, project), SLOTS)
    with terminal() if live else contextlib.nullcontext():
        observer = LiveObserver(Output(False)) if live else QuietObserver()
        with observer:
            Driver([study], backend, observer, StopSignals(), grace=10).run()
    return study.paths


class Top:
    """A `sweep top --json` beside, and when it said up to which event it had come."""

    def __init__(self, store: Path, study: str) -> None:
        command = [sys.executable, "-m", "sweep", "top", "--json", str(store)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._study, self.seen = study, list[tuple[float, int]]()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            document = json.loads(line)
            self.seen.append((time.time(), document["events"].get(self._study, -1)))

    def close(self) -> None:
        time.sleep(GOAL_S)  # its last look
        self._process.terminate()
        self._process.wait()
        self._thread.join()


def throughput(paths: StudyPaths) -> float:
    """Reports a second, between the first and the last."""
    events = read_entries(paths.journal)
    times = [entry.time for entry in events if isinstance(entry.event, TrialReported)]
    return (len(times) - 1) / (times[-1] - times[0])


def lags(paths: StudyPaths, seen: list[tuple[float, int]]) -> list[float]:
    """For each event after the first document: how much later a document had it, in seconds."""
    times = {entry.seq: entry.time for entry in read_entries(paths.journal)}
    found = []
    for (_, before), (at, newest) in pairwise(seen):
        found += [at - times[seq] for seq in range(before + 1, newest + 1)]
    return found


def compare(backend: RayBackend, store: Path, rounds: int, reports: int) -> None:
    """The driver's throughput without a view, with its own, and with `sweep top` beside."""
    rates: dict[str, list[float]] = {"none": [], "sweep run": [], "sweep top": []}
    for each in range(rounds):
        for mode in (list(rates), list(reversed(rates)))[each % 2]:
            spec = spec_of(f"{mode.replace(' ', '-')}-{each}", 4, reports // 4, 0.0)
            top = Top(store, spec.name) if mode == "sweep top" else None
            rates[mode].append(throughput(drive(backend, store, spec, live=mode == "sweep run")))
            if top is not None:
                top.close()
    for mode, found in rates.items():
        ratio = statistics.median(
            [one / other for one, other in zip(found, rates["none"], strict=True)]
        )
        print(
            f"view {mode}: {statistics.median(found):.0f} reports/s, {ratio:.3f} of none "
            f"(runs: {', '.join(f'{rate:.0f}' for rate in found)})",
            flush=True,
        )


def follow(backend: RayBackend, store: Path, reports: int) -> None:
    """How far `sweep top` lags behind at `RATE` reports a second."""
    seconds = reports / RATE
    spec = spec_of("paced", SLOTS, reports // SLOTS, seconds)
    top = Top(store, spec.name)
    paths = drive(backend, store, spec, live=False)
    top.close()
    found = lags(paths, top.seen)
    print(
        f"{throughput(paths):.0f} reports/s: sweep top has an event after a median of "
        f"{statistics.median(found):.2f} s, at most {max(found):.2f} s (of {len(found)} events); "
        f"goal: under {GOAL_S:g} s: {'reached' if max(found) < GOAL_S else 'missed'}",
        flush=True,
    )


def state_of(spec: StudySpec, trials: int, reports: int) -> StudyState:
    """As after so many finished trials of so many reports, with `SLOTS` more that run."""
    events: list[object] = [StudyCreated(spec=spec.model_dump(mode="json"), project="")]
    for number in range(trials + SLOTS):
        params = {"lr": 0.1, "width": 3}
        events += [
            TrialAsked(
                trial=number, params=params, latents={}, seed=0, wrote={}, told=0, running=[]
            ),
            TrialDispatched(trial=number, attempt=1, session=1, checkpoint=None),
        ]
        events += [
            TrialReported(trial=number, attempt=1, step=step, value=1.0, metrics={}, prune=None)
            for step in range(reports)
        ]
        if number < trials:
            events += [
                TrialFinished(
                    trial=number, attempt=1, state=TrialState.COMPLETE, value=1.0, checkpoint=None
                ),
                TrialTold(
                    trial=number, value=1.0, checkpoint=None, iteration=number, best_trial=0,
                    best_value=1.0, wrote={},
                ),
            ]  # fmt: skip
    return fold(
        Entry(seq=seq, time=seq / 1000, event=event)  # type: ignore[arg-type]
        for seq, event in enumerate(events)
    )


def cost(trials: int, reports: int) -> None:
    """What a picture costs after so many trials."""
    spec = spec_of("large", 2 * trials, reports, 0.0)
    state = state_of(spec, trials, reports)
    subject, slots = Subject(spec.name, spec, Limits.of(spec, state), state), Slots()
    taken = []
    for _ in range(50):
        begun = time.perf_counter()
        lines(view([subject], slots, state.time + 1), *SIZE)
        taken.append(time.perf_counter() - begun)
    print(f"a picture after {trials} trials of {reports} reports: "
          f"{1e3 * statistics.median(taken):.2f} ms", flush=True)  # fmt: skip


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    reports = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    cost(100, 10)
    cost(10_000, 10)
    cost(SLOTS, 100_000)
    os.environ["TERM"] = "xterm-256color"
    backend = RayBackend()
    backend.open()
    try:
        with tempfile.TemporaryDirectory() as directory:
            compare(backend, Path(directory), rounds, reports)
            follow(backend, Path(directory), reports)
    finally:
        backend.close()


if __name__ == "__main__":
    main()
