"""How long a slot idles between two trials, in a study with many finished trials.

A journal with 10,000 finished trials is written, and TPE goes on from there on two slots, with and
without `lookahead`. Run: ``python benchmarks/idle.py [FINISHED [TRIALS [SECONDS]]]``: so many
finished trials, and so many more that take SECONDS each.
"""

from __future__ import annotations

import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import sweep
from sweep.cli.observer import QuietObserver
from sweep.driver.cluster import RayBackend
from sweep.driver.driver import Driver
from sweep.driver.prepare import open_study, request_run
from sweep.driver.stopping import StopSignals
from sweep.journal.event import (
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialState,
    TrialTold,
)
from sweep.journal.journal import Journal, read_state
from sweep.journal.segment import read_entries
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.search.search import Search
from sweep.spec import StudySpec

SLOTS = 2
GOAL_S = 0.020


def trial(trial: sweep.Trial) -> float:
    """Waits, and leaves the times of its beginning and end in a file."""
    begun = time.time()
    time.sleep(trial.params.seconds)
    with Path(trial.params.log).open("a") as file:
        file.write(f"{trial.number} {begun} {time.time()}\n")
    return float(trial.params.x) ** 2


def spec_of(log: Path, trials: int, seconds: float, **more: object) -> StudySpec:
    parameters = {
        "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
        "x": {"min": 0.0, "max": 1.0},
        "width": {"min": 1, "max": 64},
        "optimizer": {"values": ["sgd", "adam"]},
        "momentum": {"min": 0.0, "max": 1.0, "when": {"optimizer": "sgd"}},
        "decay": {"distribution": "normal", "mu": 1.0, "sigma": 2.0},
        "seconds": {"value": seconds},
        "log": {"value": str(log)},
    }
    return StudySpec.model_validate(
        {
            "name": "idle",
            "program": "idle:trial",
            "method": "tpe",
            "metric": {"name": "loss"},
            "parameters": parameters,
            "trials": trials,
            "concurrency": SLOTS,
        }
        | more
    )


def write_history(paths: StudyPaths, spec: StudySpec, finished: int) -> None:
    """A journal as a random search of so many trials would have left it."""
    drawn = StudySpec.model_validate(spec.model_dump() | {"method": "random"})
    search, chooser = Search(drawn), random.Random(0)
    paths.root.mkdir(parents=True)
    journal = Journal(paths.journal, follow=search.apply)
    project = str(Path(__file__).parent)
    journal.append(StudyCreated(spec=spec.model_dump(mode="json"), project=project))
    for number in range(finished):
        journal.append(search.ask(journal.state))
        journal.append(TrialDispatched(trial=number, attempt=1, session=1, checkpoint=None))
        journal.append(
            TrialFinished(
                trial=number,
                attempt=1,
                state=TrialState.COMPLETE,
                value=chooser.random(),
                checkpoint=None,
            )
        )
        journal.append(
            TrialTold(
                trial=number,
                value=journal.state.trials[number].value,
                checkpoint=None,
                iteration=number,
                best_trial=0,
                best_value=journal.state.trials[0].value,
                wrote={},
            )
        )
    journal.close()


def ask_time(paths: StudyPaths, spec: StudySpec) -> float:
    """Median seconds of an ask after all that the journal holds."""
    search, state = Search(spec), read_state(paths.journal)
    for entry in read_entries(paths.journal):
        search.apply(entry.event)
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        search.ask(state)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def go_on(store: Path, spec: StudySpec) -> StudyState:
    project = str(Path(__file__).parent)
    backend = RayBackend()
    backend.open()
    try:
        backend.prepare(spec.program, project, spec.resources, SLOTS)
        study = open_study(request_run(store, spec, project), SLOTS)
        Driver([study], backend, QuietObserver(), StopSignals(), grace=10).run()
        return study.state
    finally:
        backend.close()


def times_of(log: Path) -> dict[int, tuple[float, float]]:
    """When each trial began and ended, in unix seconds."""
    rows = [line.split() for line in log.read_text().splitlines()]
    return {int(number): (float(begun), float(ended)) for number, begun, ended in rows}


def dispatch_latency(paths: StudyPaths, times: dict[int, tuple[float, float]]) -> float:
    """Mean seconds from the journal's word that a trial is handed out to its first line."""
    handed = {
        entry.event.trial: entry.time
        for entry in read_entries(paths.journal)
        if isinstance(entry.event, TrialDispatched) and entry.event.trial in times
    }
    return statistics.mean(times[number][0] - at for number, at in handed.items())


def idle_times(times: dict[int, tuple[float, float]]) -> list[float]:
    """Seconds between the end of a trial and the beginning of the next one in its slot.

    A slot is not known by name: each end is followed by the earliest beginning after it that no
    other end has taken. The first trials of a session follow none.
    """
    begins = sorted(begun for begun, _ in times.values())[SLOTS:]
    ends = sorted(ended for _, ended in times.values())[: len(begins)]
    return [begun - ended for begun, ended in zip(begins, ends, strict=True)]


def prepared(paths: StudyPaths) -> int:
    events = (entry.event for entry in read_entries(paths.journal))
    return sum(isinstance(event, TrialAsked) and event.saw is not None for event in events)


def measured(
    store: Path, paths: StudyPaths, spec: StudySpec, lookahead: bool | str, seconds: float
) -> float:
    """Mean idle time of a slot in seconds, printed with what else can be said."""
    log = Path(spec.parameters["log"].value)
    log.unlink(missing_ok=True)
    state = go_on(store, spec.model_copy(update={"lookahead": lookahead}))
    assert not state.running
    times = times_of(log)
    idle = idle_times(times)
    print(
        f"lookahead {str(lookahead).lower()}: a dispatch takes "
        f"{1e3 * dispatch_latency(paths, times):.1f} ms; a slot idles "
        f"{1e3 * statistics.mean(idle):.1f} ms between two trials of {seconds:g} s (median "
        f"{1e3 * statistics.median(idle):.1f}, most {1e3 * max(idle):.1f}); {prepared(paths)} of "
        f"{len(times)} suggestions prepared",
        flush=True,
    )
    return statistics.mean(idle)


def main() -> None:
    finished = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    trials = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    means: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        spec = spec_of(Path(directory) / "log", finished + trials, seconds)
        begun = StudyPaths.of(Path(directory) / "begun", spec.name)
        write_history(begun, spec, finished)
        print(f"{finished} finished trials: an ask takes {1e3 * ask_time(begun, spec):.0f} ms")
        for lookahead in (False, "auto"):
            store = Path(directory) / str(lookahead)
            paths = StudyPaths.of(store, spec.name)
            shutil.copytree(begun.root, paths.root)
            means[str(lookahead)] = measured(store, paths, spec, lookahead, seconds)
    reached = means["auto"] < GOAL_S
    print(f"goal: under {1e3 * GOAL_S:.0f} ms: {'reached' if reached else 'missed'}")


if __name__ == "__main__":
    main()
