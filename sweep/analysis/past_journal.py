"""The journal of a study that was made with another program."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweep.journal.event import (
    Cause,
    DriverStarted,
    DriverStopped,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialReported,
    TrialState,
)
from sweep.journal.journal import Journal
from sweep.journal.lock import Lock
from sweep.journal.state import StudyState, Trial
from sweep.journal.table import write_tables
from sweep.journal.version import versions
from sweep.paths import StudyPaths
from sweep.search.imported import ImportedReport, ImportedTrial
from sweep.spec import Space, StudySpec

_BEGINS, _ENDS = "begins", "ends"


def write_past(
    paths: StudyPaths, spec: StudySpec, source: str, trials: Sequence[ImportedTrial]
) -> list[tuple[int, str]]:
    """Journal ``trials`` in the order of their times, and write the tables.

    Returns:
        The number, here, of each trial outside of the space, and why it is.
    """
    from sweep.search.search import Search

    project, outside = str(Path.cwd()), list[tuple[int, str]]()
    search, moment = Search(spec, project), trials[0].started
    lock = Lock(paths.lock)
    try:
        journal = Journal(
            paths.journal, follow=search.apply, guard=lock.check, clock=lambda: moment
        )
        with closing(journal):
            state = journal.state
            journal.append(StudyCreated(spec=spec.model_dump(mode="json"), project=project))
            journal.append(
                DriverStarted(
                    session=1, host=socket.gethostname(), pid=os.getpid(), versions=versions()
                )
            )
            for moment, number, what in _order(trials):  # noqa: B007  the clock reads it
                one = trials[number]
                if what == _BEGINS:
                    latents, reason = _latents(spec.space, one)
                    outside += [] if reason is None else [(number, reason)]
                    asked = _asked(spec, state, one, latents, source)
                    journal.append(replace(asked, inside=reason is None))
                    journal.append(
                        TrialDispatched(trial=number, attempt=1, session=1, checkpoint=None)
                    )
                elif isinstance(what, ImportedReport):
                    journal.append(_reported(spec, number, what))
                else:
                    journal.append(_finished(spec, state.trials[number], one, source))
                    if number in state.untold:
                        journal.append(search.tell(state, state.trials[number]))
            journal.append(DriverStopped(session=1, reason="import"))
            journal.flush()
            write_tables(state, paths.tables)
    finally:
        lock.release()
    return outside


def _asked(
    spec: StudySpec,
    state: StudyState,
    one: ImportedTrial,
    latents: dict[str, list[Any]],
    source: str,
) -> TrialAsked:
    from sweep.search.sampler import ask_seed

    return TrialAsked(
        trial=len(state.trials),
        params=one.params,
        latents=latents,
        seed=ask_seed(spec.seed, len(state.trials)),
        wrote={},
        told=len(state.iterations),
        running=list(state.running),
        imported=f"{source}/{one.name}",
    )


def _reported(spec: StudySpec, number: int, report: ImportedReport) -> TrialReported:
    return TrialReported(
        trial=number,
        attempt=1,
        step=report.step,
        value=report.metrics.get(spec.objective.name),
        metrics=report.metrics,
        prune=None,
    )


def _finished(spec: StudySpec, trial: Trial, one: ImportedTrial, source: str) -> TrialFinished:
    from sweep.search.result import infinite_win, known, told_as_worst, values_of, violations_of

    found = values_of(spec, trial, one.metrics)
    infinite = None if one.state is TrialState.FAILED else infinite_win(spec, found)
    failed = one.state is TrialState.FAILED or infinite is not None
    cause = None if infinite is None else Cause.NAN
    values = [] if failed else list(known(found))
    violations = [] if failed else list(known(violations_of(spec, trial, one.metrics)))
    return TrialFinished(
        trial=trial.number,
        attempt=1,
        state=TrialState.FAILED if failed else one.state,
        value=values[0] if values else None,
        values=values if len(values) > 1 else None,
        violations=violations,
        checkpoint=None,
        metrics=one.metrics,
        reason=(infinite or one.reason or f"failed in {source}") if failed else None,
        error=one.error,
        cause=cause,
        worst=told_as_worst(spec, cause),
    )


def _order(
    trials: Sequence[ImportedTrial],
) -> Iterator[tuple[float, int, str | ImportedReport]]:
    """When trials began, reported and ended, by time; they begin in the order of numbers."""
    began = float("-inf")
    events = []
    for number, trial in enumerate(trials):
        began = latest = max(began, trial.started)
        own: list[str | ImportedReport] = [_BEGINS, *trial.reports, _ENDS]
        times = [trial.started, *(report.time for report in trial.reports), trial.finished]
        for place, (time, what) in enumerate(zip(times, own, strict=True)):
            latest = max(latest, time)
            events.append((latest, number, place, what))
    for time, number, _, what in sorted(events, key=lambda event: event[:3]):
        yield time, number, what


def _latents(space: Space, one: ImportedTrial) -> tuple[dict[str, list[Any]], str | None]:
    from sweep.search.fitting import fitted

    if not one.measured:
        return {}, "a constraint was not measured"
    try:
        return fitted(space, one.params, {}), None
    except ValueError as error:
        text = str(error)
        return {}, text.replace(
            "is new, and has no default", "is not there, and no condition says why"
        )
