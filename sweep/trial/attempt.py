"""One attempt of a trial, from its assignment to its last word."""

from __future__ import annotations

import functools
import importlib
import logging
import socket
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from sweep.checkpoint import origin, rng
from sweep.checkpoint.memo import MemoStore
from sweep.checkpoint.metric import as_metrics, as_number
from sweep.checkpoint.mirror import MirrorSource
from sweep.checkpoint.record import CheckpointRecord, Kind
from sweep.checkpoint.saver import Saver
from sweep.checkpoint.store import Checkpoint, CheckpointStore
from sweep.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointMismatchError,
    CheckpointVersionError,
    ProgramError,
    RankError,
)
from sweep.fsio import is_full
from sweep.paths import StudyPaths
from sweep.trial.isolation import isolated
from sweep.trial.message import Assignment, Ended, Forked, Link, Restored, Saved
from sweep.trial.once import Once
from sweep.trial.origin import check_origin
from sweep.trial.outcome import Outcome, StartsAnew, TrialExit
from sweep.trial.program import load_program
from sweep.trial.ranks import Ranks
from sweep.trial.restoration import WAY_OUT
from sweep.trial.seeding import on_import, trial_seed
from sweep.trial.session import Session
from sweep.trial.setting import Setting
from sweep.trial.source import source_digest
from sweep.trial.threads import limit_threads, limit_torch
from sweep.trial.trace import Trace
from sweep.trial.trial import Trial

__all__ = ["load_program", "run_attempt"]

_NOT_USERS = (str(Path(__file__).parents[1]), "<frozen", str(Path(importlib.__file__).parent))
"""Files of frames between an attempt and the user's code begin with one of these."""


def run_attempt(assignment: Assignment, link: Link) -> None:
    """Run one attempt and say over ``link`` what comes of it; the last word is `Ended`.

    Whatever user code raises makes the outcome FAILED, except that KeyboardInterrupt is raised
    again, without an `Ended`. When this returns, no thread of the attempt is left, every durable
    checkpoint was sent as `Saved`, and the process is as it was before (loggers, environment,
    paths, settings of torch); the next attempt seeds the generators anew.
    """
    with isolated():
        ended = _attempt(assignment, link)
    link.send(ended)


def _attempt(assignment: Assignment, link: Link) -> Ended:
    seed = trial_seed(assignment.seed, assignment.trial)
    store = CheckpointStore(
        StudyPaths(Path(assignment.root)).checkpoints,
        MirrorSource.at(assignment.mirror),
        level=assignment.level,
    )
    session: Session | None = None
    log = make_logger(f"sweep.trial.{assignment.trial}")
    paths = StudyPaths(Path(assignment.root))
    trace = Trace(paths.trace(assignment.trial, assignment.attempt))

    def library_loaded(library: str) -> None:
        if session is None:
            rng.seed(seed, library)
        else:
            session.library_loaded(library)
        limit_torch(assignment.threads)

    with on_import(library_loaded):
        try:
            limit_threads(assignment.threads)
            restored = _restore(assignment, store, link)
            if restored is not None and restored.manifest.kind is Kind.FINAL:
                return _was_complete(restored, link)
            rng.seed(seed)
            function = load_program(assignment.program, assignment.project)
            limit_threads(assignment.threads)  # the program has loaded more, maybe
            rng.seed(seed)
            setting = make_setting(assignment, seed)
            if restored is not None:
                _warn_of_source(restored, setting, log)
            saver = _saver(store, link, assignment)
            session = Session(setting, link, log, saver, restored, trace=trace)
            ranks = Ranks(session, link, assignment, _scratch(assignment), restored)
            trial = _trial(assignment, session, seed, log, ranks)
            return call(function, trial, session, assignment)
        except KeyboardInterrupt:
            raise
        except StartsAnew as error:
            why = str(error)
        except BaseException as error:  # noqa: BLE001  user code may raise anything
            return failure(error)
        finally:
            close(session)
            trace.close()
    log.warning("%s: the trial starts from scratch; %s", why, WAY_OUT)
    link.send(Restored(checkpoint=None))
    return _attempt(replace(assignment, restore=()), link)


def call(
    function: Callable[[Trial], Any], trial: Trial, session: Session, assignment: Assignment
) -> Ended:
    """Run the trial function and save the end. Raises what it raises, a `TrialExit` excepted."""
    try:
        returned = _returned(function(trial), assignment.metric)
    except TrialExit as leaving:
        return Ended(outcome=leaving.outcome)
    outcome = session.finish(returned)
    return Ended(outcome=outcome, returned=session.result(returned) or None)


def _restore(assignment: Assignment, store: CheckpointStore, link: Link) -> Checkpoint | None:
    """The first checkpoint that is whole; the driver is told which, and what was passed over."""
    if not assignment.restore:
        _check_scratch(assignment, [])
        return None
    skipped: list[tuple[str, str]] = []
    found = None
    for manifest in assignment.restore:
        try:
            found = store.resume(manifest)
            break
        except CheckpointDamagedError as error:
            skipped.append((manifest, str(error)))
    identifier = None if found is None else found.manifest.id
    link.send(Restored(checkpoint=identifier, skipped=tuple(skipped)))
    if found is None:
        _check_scratch(assignment, [why for _, why in skipped])
    else:
        check_origin(found.manifest, assignment.params)
    return found


def _check_scratch(assignment: Assignment, damage: list[str]) -> None:
    if assignment.fork:
        why = "; ".join(damage) or "what it went on from was damaged"
        raise CheckpointDamagedError(
            f"trial {assignment.trial} is a fork and cannot start from scratch: {why}; fork again"
        )


def _was_complete(final: Checkpoint, link: Link) -> Ended:
    """The function had returned and only this was not recorded yet: it must not run again."""
    for changes in final.tree["position"].get("forks", []):
        link.send(Forked(checkpoint=final.manifest.id, changes=changes))
    return Ended(outcome=Outcome.COMPLETE, returned=final.tree["returned"] or None)


def _warn_of_source(restored: Checkpoint, setting: Setting, log: logging.Logger) -> None:
    saved, ours = (meta.get("source_sha256") for meta in (restored.manifest.meta, setting.meta))
    if saved is not None and ours is not None and saved != ours:
        log.warning(
            "the trial's source has changed since checkpoint %s was saved", restored.manifest.id
        )


def _returned(value: Any, metric: str) -> dict[str, float]:
    if value is None:
        return {}
    try:
        if isinstance(value, Mapping):
            return as_metrics(value)
        return {metric: as_number(metric, value)}
    except TypeError as error:
        raise TypeError(
            "the trial function must return None, a number, or a mapping of metrics to numbers: "
            f"{error}"
        ) from None


def _saver(store: CheckpointStore, link: Link, assignment: Assignment) -> Saver:
    def saved(record: CheckpointRecord) -> None:
        link.send(Saved(record=record))

    return Saver(store, saved, Path(assignment.root))


@functools.cache
def _imported_source(program: str, project: str) -> str | None:
    """The digest of the source as this process has imported it, whatever the file has become."""
    return source_digest(program, project)


_host = functools.cache(socket.gethostname)


def make_setting(assignment: Assignment, seed: int, world_size: int = 1) -> Setting:
    """``seed`` is that of the generators."""
    return Setting(
        trial=assignment.trial,
        attempt=assignment.attempt,
        session=assignment.session,
        seed=seed,
        policy=assignment.policy,
        scope=assignment.scope,
        metric=assignment.metric,
        verdicts=assignment.verdicts,
        held=assignment.held,
        meta={
            "study": assignment.study,
            "program": assignment.program,
            "params": dict(assignment.params),
            "params_sha256": origin.params_digest(assignment.params),
            "study_seed": assignment.seed,
            "seed": seed,
            "versions": origin.versions(),
            "source_sha256": _imported_source(assignment.program, assignment.project),
            "git": origin.git_commit(assignment.project),
            "host": _host(),
            "world_size": world_size,
        },
    )


def _trial(
    assignment: Assignment, session: Session, seed: int, log: logging.Logger, ranks: Ranks
) -> Trial:
    return Trial(
        session,
        assignment.params,
        once=make_once(assignment, session, log, seed),
        number=assignment.trial,
        seed=seed,
        log=log,
        directory=_scratch(assignment),
        spawn=ranks,
    )


def make_once(
    assignment: Assignment, session: Session, log: logging.Logger, seed: int, *, kept: bool = True
) -> Once:
    """The trial's memos, in memory only if not ``kept``. ``seed`` is that of the generators."""
    memos = MemoStore(StudyPaths(Path(assignment.root)).memos) if kept else None
    study_seed, number = assignment.seed, assignment.trial
    return Once(session, memos, log, trial=number, study_seed=study_seed, trial_seed=seed)


def _scratch(assignment: Assignment) -> Callable[[], Path]:
    def directory() -> Path:
        scratch = StudyPaths(Path(assignment.root)).scratch / f"{assignment.trial:05d}"
        path = scratch / f"{assignment.session}.{assignment.attempt}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    return directory


def make_logger(name: str, mark: str = "") -> logging.Logger:
    """A logger that nobody else has, so that no handler outlives the attempt.

    ``mark`` begins each message, such as ``"rank 1: "``.
    """
    log = logging.Logger(name, logging.INFO)
    log.parent = logging.getLogger()
    if not log.parent.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {mark}%(message)s"))
        log.addHandler(handler)
    return log


def close(session: Session | None) -> None:
    """Wait for what is being saved. Its failure is no news here: `finish` has raised it, or the
    attempt has failed of something else."""
    if session is not None:
        try:
            session.close()
        except CheckpointError as error:
            logging.getLogger("sweep.trial").warning("%s", error)


def failure(error: BaseException) -> Ended:
    """The last word of an attempt that was ended by ``error``.

    What a newer version saved is no failure of the trial: the study halts, as for a full disk.
    """
    if isinstance(error, CheckpointVersionError):
        return Ended(outcome=Outcome.UNSAVED, reason=str(error))
    if (
        isinstance(error, CheckpointError)
        and isinstance(error.__cause__, OSError)
        and not isinstance(error, CheckpointDamagedError)
    ):
        return Ended(outcome=Outcome.UNSAVED, reason=str(error), disk_full=is_full(error))
    users = error.__cause__ if isinstance(error, ProgramError) and error.__cause__ else error
    text = "".join(
        traceback.TracebackException(
            type(users), users, _from_user_code(users.__traceback__)
        ).format()
    )
    only = traceback.format_exception_only(type(error), error)
    traceback.clear_frames(error.__traceback__)  # lets go of what the function held
    return Ended(
        outcome=Outcome.FAILED,
        error=text,
        reason=only[0].splitlines()[0],
        again=_may_pass(error),
    )


def _may_pass(error: BaseException) -> bool:
    """Whether another attempt may fare better: a checkpoint that does not fit never will."""
    if isinstance(error, RankError):
        return error.again
    return not isinstance(error, CheckpointMismatchError)


def _from_user_code(trace: TracebackType | None) -> TracebackType | None:
    """``trace`` without the frames of this package that it begins with."""
    users = trace
    while users is not None and users.tb_frame.f_code.co_filename.startswith(_NOT_USERS):
        users = users.tb_next
    return users or trace
