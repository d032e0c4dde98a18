"""A study of Optuna's becomes one of the store: to be read, and to go on."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sweep import fsio
from sweep.errors import StoreError, UsageError
from sweep.journal.event import (
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
from sweep.spec import Space, StudySpec, dump_spec

if TYPE_CHECKING:
    from sweep.search.optuna_import import ImportedTrial

PROGRAM = "my_trial:main"
"""Stands in the YAML for the function that nobody has named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """A study that was made. ``outside`` are trials that the sampler is not told of, with reasons;
    ``unfinished`` ones were left out. ``yaml`` is the spec to go on with."""

    study: str
    path: str
    yaml: str
    trials: int
    unfinished: int
    outside: list[tuple[int, str]]
    notes: list[str]


def import_optuna(
    store: Path,
    url: str,
    *,
    name: str | None = None,
    study: str | None = None,
    program: str | None = None,
) -> Imported:
    """Make a study of the one in the database ``url``, and its YAML in the working directory.

    Trials have the times that they had there, one session long. The study appears in the store when
    it is whole.

    Args:
        name: of the new study; by default that of the old one.
        study: which one, where the database has several.
        program: the trial function, ``module:function``; with `PROGRAM` nothing can be run.

    Raises:
        UsageError: no database of Optuna's, no such study, or nothing in it that is over; or the
            new study or its YAML is there already.
        StoreError: the database cannot be read, or the store not be written.
    """
    from sweep.search.optuna_database import OptunaDatabase  # start-up: Optuna takes a second
    from sweep.search.optuna_import import imported_study

    database = OptunaDatabase.of(url)
    with database.read(study) as known:
        source, found = f"{database.path}:{known.study_name}", imported_study(known)
        content = found.content | {"name": name or known.study_name}
    spec = _spec(source, content | {"program": program or PROGRAM}, renamed=name is not None)
    paths, yaml = StudyPaths.of(store, spec.name), Path(f"{spec.name}.yaml")
    if paths.root.exists():
        raise UsageError(f"{paths.root}: is there already; give the study another --name")
    if yaml.exists():
        raise UsageError(f"{yaml}: is there already; give the study another --name")
    aside = StudyPaths(paths.root.with_name(f".{spec.name}.import"))
    try:
        shutil.rmtree(aside.root, ignore_errors=True)  # of an import that was killed
        fsio.make_directory(aside.journal)
        try:
            outside = _write(aside, spec, source, found.trials)
            fsio.write_bytes(aside.spec, dump_spec(spec).encode())
            aside.lock.unlink(missing_ok=True)
            head = (
                "" if program else f"# {PROGRAM} stands for the function of a trial: name yours\n"
            )
            fsio.write_bytes(yaml.absolute(), (head + dump_spec(spec)).encode())
            aside.root.rename(paths.root)
            fsio.sync_directory(paths.root.parent)
        finally:
            shutil.rmtree(aside.root, ignore_errors=True)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{paths.root}: cannot be written: {error}") from error
    return Imported(
        study=spec.name,
        path=str(paths.root),
        yaml=str(yaml),
        trials=len(found.trials),
        unfinished=found.unfinished,
        outside=outside,
        notes=found.notes,
    )


def _spec(source: str, content: dict[str, Any], *, renamed: bool) -> StudySpec:
    try:
        return StudySpec.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        hint = "" if renamed or place != "name" else "; give it a --name"
        raise UsageError(
            f"{source}: cannot be a study here: {place}: {first['msg']}{hint}"
        ) from error


def _write(
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
            for moment, number, begins in _order(trials):  # noqa: B007  the clock reads it
                one = trials[number]
                if begins:
                    latents, reason = _latents(spec.space, one)
                    outside += [] if reason is None else [(number, reason)]
                    asked = _asked(spec, state, one, latents, source)
                    journal.append(replace(asked, inside=reason is None))
                    journal.append(
                        TrialDispatched(trial=number, attempt=1, session=1, checkpoint=None)
                    )
                    continue
                journal.append(*_reports(spec, number, one))
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
        imported=f"{source}/{one.number}",
    )


def _reports(spec: StudySpec, number: int, one: ImportedTrial) -> Iterator[TrialReported]:
    for step, value in one.reports.items():
        yield TrialReported(
            trial=number,
            attempt=1,
            step=step,
            value=value,
            metrics={spec.objective.name: value},
            prune=None,
        )


def _finished(spec: StudySpec, trial: Trial, one: ImportedTrial, source: str) -> TrialFinished:
    from sweep.search.result import known, values_of, violations_of

    failed = one.state is TrialState.FAILED
    values = [] if failed else list(known(values_of(spec, trial, one.metrics)))
    violations = [] if failed else list(known(violations_of(spec, trial, one.metrics)))
    return TrialFinished(
        trial=trial.number,
        attempt=1,
        state=one.state,
        value=values[0] if values else None,
        values=values if len(values) > 1 else None,
        violations=violations,
        checkpoint=None,
        metrics=one.metrics,
        reason=f"failed in {source}" if failed else None,
    )


def _order(trials: Sequence[ImportedTrial]) -> Iterator[tuple[float, int, bool]]:
    """When each trial began (True) and ended, by time; they begin in the order of their numbers."""
    latest = float("-inf")
    events = []
    for number, trial in enumerate(trials):
        latest = max(latest, trial.started)
        events += [(latest, number, True), (max(latest, trial.finished), number, False)]
    yield from sorted(events, key=lambda event: (event[0], event[1], not event[2]))


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
