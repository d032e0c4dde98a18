"""Studies for tests of reports: journals written event by event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sweep.journal.event import (
    DriverStarted,
    DriverStopped,
    Entry,
    Event,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialReported,
    TrialState,
    TrialTold,
)
from sweep.journal.segment import write_segment
from sweep.paths import StudyPaths
from sweep.spec import StudySpec

FLOAT = ["FloatDistribution", {"low": 0.0, "high": 1.0, "log": False, "step": None}]


def spec_of(**content: Any) -> StudySpec:
    base: dict[str, Any] = {
        "name": "s",
        "program": "odd:returns_loss",
        "method": "random",
        "metric": {"name": "loss"},
        "parameters": {"x": {"min": 0.0, "max": 1.0}},
        "trials": 3,
    }
    return StudySpec.model_validate(base | content)


def asked(trial: int, **params: Any) -> TrialAsked:
    return TrialAsked(
        trial=trial,
        params=params,
        latents={name: [0.1 * (trial % 10), *FLOAT] for name in params},
        seed=0,
        wrote={},
        told=0,
        running=[],
    )


def begun(trial: int, attempt: int = 1, session: int = 1) -> TrialDispatched:
    return TrialDispatched(trial=trial, attempt=attempt, session=session, checkpoint=None)


def reported(
    trial: int, step: int, attempt: int = 1, rung: int | None = None, **metrics: float
) -> TrialReported:
    return TrialReported(
        trial=trial,
        attempt=attempt,
        step=step,
        value=next(iter(metrics.values())),
        metrics=metrics,
        prune=None,
        rung=rung,
    )


def finished(
    trial: int,
    value: float | None,
    state: TrialState = TrialState.COMPLETE,
    attempt: int = 1,
    **more: Any,
) -> TrialFinished:
    return TrialFinished(
        trial=trial, attempt=attempt, state=state, value=value, checkpoint=None, **more
    )


def told(trial: int, iteration: int, value: float | None, **more: Any) -> TrialTold:
    return TrialTold(
        trial=trial,
        value=value,
        checkpoint=None,
        iteration=iteration,
        best_trial=None,
        best_value=None,
        wrote={},
        **more,
    )


def session(number: int) -> DriverStarted:
    return DriverStarted(
        session=number, host="host", pid=1, versions={"python": "3.11", "sweep": "0"}, slots=2
    )


def write(root: Path, spec: StudySpec, events: Sequence[Event]) -> StudyPaths:
    """A study whose journal holds ``events``, a second apart."""
    paths = StudyPaths(root / spec.name)
    paths.journal.mkdir(parents=True)
    first = StudyCreated(spec=spec.model_dump(mode="json"), project="/")
    entries = [
        Entry(seq=seq, time=1.7e9 + seq, event=event) for seq, event in enumerate([first, *events])
    ]
    write_segment(paths.journal, entries, 0)
    return paths


def some(count: int, reports: int = 3) -> Iterator[Event]:
    """A session of complete trials."""
    yield session(1)
    for trial in range(count):
        yield asked(trial, x=(trial * 0.37) % 1)
        yield begun(trial)
        for step in range(reports):
            yield reported(trial, step, loss=1 / (step + 1) + trial % 7)
        yield finished(trial, float(trial % 7))
        yield told(trial, trial, float(trial % 7))
    yield DriverStopped(session=1, reason="complete")
