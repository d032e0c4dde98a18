"""How long it takes to read studies: a large one as tables and as a page, a store, a running one.

Run: ``python benchmarks/reading.py [TRIALS [REPORTS]]``: a study of 10,000 trials with 100 reports
each is written as a random search would have left it, and a store of a hundred studies. The ratio
is of medians, taken in turns in one process.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

import sweep
from sweep.driver.tabulation import Tabulation
from sweep.journal.event import (
    DriverStarted,
    DriverStopped,
    Entry,
    Event,
    StudyCreated,
    TrialDispatched,
    TrialFinished,
    TrialReported,
    TrialState,
    TrialTold,
)
from sweep.journal.fold import apply, fold
from sweep.journal.journal import read_state
from sweep.journal.segment import read_entries, write_segment
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.search.search import Search
from sweep.spec import StudySpec

SEGMENT = 100_000
RATIO, LS_S, PAGE_S, PAGE_MB, ANSWER_S = 2.0, 0.5, 30.0, 20.0, 1.0
"""The goals."""


def trial(trial: sweep.Trial) -> None:
    """Reports for a while: what the commands look at that are timed beside a run."""
    for epoch in trial.epochs(200):
        time.sleep(0.05)  # stands for training
        trial.report(loss=trial.params.x / (epoch + 1), accuracy=epoch / 200)


def spec_of(name: str, trials: int) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": name,
            "program": "reading:trial",
            "method": "random",
            "metric": {"name": "loss"},
            "parameters": {
                "x": {"min": 0.0, "max": 1.0},
                "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
                "optimizer": {"values": ["sgd", "adam"]},
            },
            "trials": trials,
            "concurrency": 2,
        }
    )


def events_of(spec: StudySpec, state: StudyState, reports: int) -> Iterator[Event]:
    """What a random search records, one trial after the other; ``state`` follows it."""
    search, chooser = Search(spec), random.Random(0)
    best = (float("inf"), 0)
    yield StudyCreated(spec=spec.model_dump(mode="json"), project=str(Path(__file__).parent))
    yield DriverStarted(session=1, host="localhost", pid=1, versions={})
    for number in range(spec.trials or 0):
        yield search.ask(state)
        yield TrialDispatched(trial=number, attempt=1, session=1, checkpoint=None)
        loss = chooser.random()
        for step in range(reports):
            metrics = {"loss": loss / (step + 1), "accuracy": 1 - loss / (step + 1)}
            yield TrialReported(
                trial=number,
                attempt=1,
                step=step,
                value=metrics["loss"],
                metrics=metrics,
                prune=None,
            )
        value = loss / reports
        best = min(best, (value, number))
        yield TrialFinished(
            trial=number, attempt=1, state=TrialState.COMPLETE, value=value, checkpoint=None
        )
        yield TrialTold(
            trial=number,
            value=value,
            checkpoint=None,
            iteration=number,
            best_trial=best[1],
            best_value=best[0],
            wrote={},
        )
    yield DriverStopped(session=1, reason="complete")


def write_study(paths: StudyPaths, spec: StudySpec, reports: int) -> None:
    """A study as its driver leaves it: journal, tables and summary."""
    paths.journal.mkdir(parents=True)
    state, digest = StudyState(), 0
    pending: list[Entry] = []
    for seq, event in enumerate(events_of(spec, state, reports)):
        entry = Entry(seq=seq, time=1.7e9 + seq * 0.001, event=event)
        apply(state, entry)
        pending.append(entry)
        if len(pending) == SEGMENT:
            _, digest = write_segment(paths.journal, pending, digest)
            pending = []
    write_segment(paths.journal, pending, digest)
    Tabulation(spec, paths.tables).write(state)


def seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def command(*arguments: object) -> float:
    """Seconds that ``sweep`` takes as a process."""
    line = [sys.executable, "-m", "sweep", *map(str, arguments)]
    return seconds(lambda: subprocess.run(line, check=True, capture_output=True))


def verdict(figure: float, goal: float) -> str:
    return f"goal {goal:g}: {'reached' if figure <= goal else 'missed'}"


def compare_reading(paths: StudyPaths, label: str, rows: int, goal: float | None = None) -> None:
    """Print what ``study.reports`` takes, against pandas with a file of the same rows."""
    plain = paths.root.parent / "same.parquet"
    shutil.copy(paths.tables / "reports.parquet", plain)
    ours, theirs = [], []
    for _ in range(7):
        theirs.append(seconds(lambda: pd.read_parquet(plain)))
        ours.append(seconds(lambda: sweep.open_study(paths.root).reports))
    own, other = statistics.median(ours), statistics.median(theirs)
    print(
        f"{rows:,} rows, {label}: study.reports {own:.3f} s, pd.read_parquet {other:.3f} s: "
        f"{own / other:.2f}{'' if goal is None else f' ({verdict(own / other, goal)})'}",
        flush=True,
    )


def measure_tables(paths: StudyPaths, spec: StudySpec) -> None:
    rows = len(sweep.open_study(paths.root).reports)
    compare_reading(paths, "tables up to date", rows, RATIO)
    whole = read_state(paths.journal)
    entries = [
        each for each in read_entries(paths.journal) if each.seq <= whole.seq - SEGMENT // 10
    ]
    Tabulation(spec, paths.tables).write(fold(entries))
    del entries
    compare_reading(paths, f"tables {SEGMENT // 10:,} events old", rows)
    taken = seconds(lambda: read_state(paths.journal))
    print(f"the fold of its {whole.seq + 1:,} events: {taken:.1f} s", flush=True)
    Tabulation(spec, paths.tables).write(whole)


def measure_page(paths: StudyPaths) -> None:
    page = paths.root.parent / "page.html"
    taken = command("report", paths.name, "--store", paths.root.parent, "--to", page)
    size = page.stat().st_size / 1e6
    print(
        f"its report: {taken:.1f} s ({verdict(taken, PAGE_S)}), {size:.2f} MB "
        f"({verdict(size, PAGE_MB)})",
        flush=True,
    )


def measure_store(store: Path) -> None:
    for number in range(100):
        spec = spec_of(f"study-{number:03d}", 20)
        write_study(StudyPaths.of(store, spec.name), spec, 10)
    taken = statistics.median(command("ls", "--store", store) for _ in range(5))
    print(f"sweep ls of 100 studies: {taken:.2f} s ({verdict(taken, LS_S)})", flush=True)


def measure_running(store: Path) -> None:
    """How soon commands answer beside a run; each shows all that was durable when it began."""
    store.mkdir()
    spec = store / "running.yaml"
    spec.write_text(json.dumps(spec_of("running", 8).model_dump(mode="json", exclude_unset=True)))
    line = [sys.executable, "-m", "sweep", "run", str(spec), "--store", str(store)]
    with subprocess.Popen(line, cwd=Path(__file__).parent, stdout=subprocess.DEVNULL) as run:
        paths = StudyPaths.of(store, "running")
        while not paths.begun() or not read_state(paths.journal).iterations:
            time.sleep(0.1)  # until a first trial is finished
        for each in (("ls",), ("show", "running"), ("show", "running/0"), ("best", "running")):
            taken = statistics.median(command(*each, "--store", store) for _ in range(5))
            print(
                f"sweep {' '.join(each)}, beside a run: {taken:.2f} s ({verdict(taken, ANSWER_S)})"
            )
        run.terminate()


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    reports = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    with tempfile.TemporaryDirectory() as directory:
        spec = spec_of("large", trials)
        paths = StudyPaths.of(Path(directory) / "runs", spec.name)
        write_study(paths, spec, reports)
        measure_tables(paths, spec)
        measure_page(paths)
        measure_store(Path(directory) / "hundred")
        measure_running(Path(directory) / "running")


if __name__ == "__main__":
    main()
