"""Before a driver starts: what is asked is held against what the store has."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep import fsio
from sweep.driver.claim import Claim
from sweep.driver.failing import Halting, failing
from sweep.driver.mirroring import check_mirror
from sweep.driver.plan import Limits, is_complete, timed_out
from sweep.driver.readable import check_readable
from sweep.driver.recovery import read_or_recover
from sweep.driver.study import DrivenStudy
from sweep.driver.warm_start import new_histories
from sweep.errors import (
    ProgramError,
    SpecChangedError,
    StoreError,
    StudyLockedError,
    UsageError,
)
from sweep.integration.tracker import check_library
from sweep.journal.event import HistoryAdded, StudyCreated
from sweep.journal.journal import Journal, first_event
from sweep.journal.lock import holder
from sweep.journal.state import StudyState
from sweep.journal.table import drop_newer
from sweep.journal.version import versions
from sweep.paths import StudyPaths
from sweep.quantity import duration_text
from sweep.search.define import space_of
from sweep.search.sampler import SamplerSource
from sweep.search.search import Search
from sweep.spec import (
    Change,
    StudySpec,
    difference,
    dump_spec,
    inheriting,
    lasting,
    parse_spec,
    refused,
    successor,
)
from sweep.trial.source import source_digest

_log = logging.getLogger("sweep")

CLOCK_TOLERANCE_S = 60.0
"""Clocks of machines differ by less than this where they are kept at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A study that somebody wants to be run: begun, or gone on with.

    ``state`` is what the store had when it was looked at (None: nothing), ``changes`` what the spec
    changes in it, and ``accepted`` whether that may be another space, method or seed. ``histories``
    is what is to be known of other studies and is not yet. ``retries`` are finished trials that
    are to run again, without their checkpoints where they start ``from_scratch``.
    """

    paths: StudyPaths
    spec: StudySpec
    project: str
    state: StudyState | None
    changes: Sequence[Change]
    accepted: bool = False
    histories: Sequence[HistoryAdded] = ()
    retries: Sequence[int] = ()
    from_scratch: bool = False

    @property
    def complete(self) -> bool:
        if self.retries:
            return False
        return self.state is not None and is_complete(self.state, Limits.of(self.spec, self.state))

    @property
    def timed_out(self) -> bool:
        if self.retries:
            return False  # it halts at once, but not before it has recorded them
        return self.state is not None and timed_out(
            self.state, Limits.of(self.spec, self.state), self.state.time
        )

    @property
    def halting(self) -> Halting | None:
        """Why it would halt at once, since its trials fail."""
        if self.state is None or self.retries:
            return None
        return failing(self.state, self.spec.max_failures)


def request_run(store: Path, spec: StudySpec, project: str, *, accept: bool = False) -> Request:
    """Look at what running ``spec`` in ``store`` would mean. Nothing is written.

    ``accept`` says that a study may go on with another space, method or seed.

    Raises:
        SpecChangedError: the study exists with another metric, or others of these.
        UsageError: ``warm_start`` names what this study cannot learn from, or a tracker's library
            is not installed.
        StudyLockedError: another driver runs it.
        StoreError: its journal cannot be read.
        ProgramError: the sampler that ``method`` names, or the space, cannot be had.
    """
    try:
        SamplerSource(spec, project)
        space = space_of(spec, project)
    except ProgramError as error:
        raise ProgramError(f"{spec.name}: {error}") from error
    paths = StudyPaths.of(store, spec.name)
    _check_trackers(spec)
    state = _look(paths)
    check_mirror(paths, spec, begun=state is not None)
    histories = new_histories(spec, space, paths, state or StudyState())
    if state is None:
        return Request(
            paths=paths, spec=spec, project=project, state=None, changes=(), histories=histories
        )
    spec, changes = _changed_to(paths, state, spec, accept=accept)
    return Request(
        paths=paths,
        spec=spec,
        project=project,
        state=state,
        changes=changes,
        accepted=accept,
        histories=histories,
    )


def request_change(store: Path, spec: StudySpec, project: str, *, accept: bool = False) -> Request:
    """As `request_run`, as far as it can be told without a look at code of the user's.

    Raises:
        SpecChangedError, UsageError, StudyLockedError, StoreError: as `request_run`.
    """
    paths = StudyPaths.of(store, spec.name)
    _check_trackers(spec)
    state = _look(paths)
    check_mirror(paths, spec, begun=state is not None)
    changes: Sequence[Change] = ()
    if state is not None:
        spec, changes = _changed_to(paths, state, spec, accept=accept)
    return Request(
        paths=paths, spec=spec, project=project, state=state, changes=changes, accepted=accept
    )


def request_resume(
    paths: StudyPaths, settings: Sequence[str] = (), *, accept: bool = False
) -> Request:
    """Look at a study that is to go on as it is, but for ``settings`` such as ``timeout=2h``.

    Nothing is written. ``accept`` is as in `request_run`.

    Raises:
        StudyLockedError, StoreError: as `request_run`.
        SpecError: a setting is none of a spec's.
        SpecChangedError: the study cannot go on with a setting.
        UsageError: a tracker's library is not installed, or a setting is another name.
    """
    state = _look(paths)
    if state is None:
        raise StoreError(
            f"{paths.root}: no study; `sweep ls --store {paths.root.parent}` lists them"
        )
    spec = StudySpec.accepted(state.spec)
    changes: Sequence[Change] = ()
    if settings:
        asked = parse_spec(dump_spec(spec), str(paths.spec), settings)
        if asked.name != spec.name:
            raise UsageError(
                f"--set name={asked.name}: a study keeps its name while it runs; to change it: "
                f"sweep rename {paths.name} {asked.name}"
            )
        spec, changes = _changed_to(paths, state, asked, accept=accept)
    _check_trackers(spec)
    check_mirror(paths, spec, begun=True)
    histories = new_histories(spec, space_of(spec, state.project), paths, state) if changes else ()
    return Request(
        paths=paths,
        spec=spec,
        project=state.project,
        state=state,
        changes=changes,
        accepted=accept,
        histories=histories,
    )


def open_study(
    request: Request, slots: int | None = None, claim: Claim | None = None
) -> DrivenStudy:
    """Open the journal under the lock, beginning the study where there is none.

    The lock is that of ``claim``, which is taken over; without one it is taken. ``slots`` is how
    many trials can run at once, where the study has them for itself.

    Raises:
        StudyLockedError, SpecChangedError, StoreError: as `request_run`; a look may be out of date.
        ProgramError: a sampler of the user's cannot be had. Nothing is written then.
    """
    paths, spec = request.paths, request.spec
    Search(spec, request.project).prepare()
    lock = (claim or Claim(paths)).lock
    try:
        created = first_event(paths.journal)
        if created is None:
            search = Search(spec, request.project)
        else:
            search = Search(StudySpec.accepted(created.spec), created.project)
        journal = Journal(paths.journal, follow=search.apply, guard=lock.check)
        drop_newer(paths.tables, journal.committed)
        _warn_of_clock(paths.name, journal.state)
        with journal.together():
            _accept(journal, search, request)
        fsio.write_bytes(paths.spec, dump_spec(spec).encode())
        study = DrivenStudy(paths, lock, journal, search, spec)
        study.begin(versions(), space_source(spec, request.project), slots)
        if request.retries:
            study.intervention.retry(request.retries, from_scratch=request.from_scratch)
        lock.started()
    except OSError as error:
        lock.release()
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{paths.root}: cannot be written: {error}; give another --store") from (
            error
        )
    except BaseException:
        lock.release()
        raise
    return study


def _warn_of_clock(study: str, state: StudyState) -> None:
    behind = state.time - time.time()
    if state.seq >= 0 and behind > CLOCK_TOLERANCE_S:
        _log.warning(
            "%s: the system's clock is %s behind the newest event (it was set back, or was "
            "ahead then): the times of this session continue from there; durations are true",
            study,
            duration_text(behind),
        )


def space_source(spec: StudySpec, project: str) -> dict[str, str]:
    """The digest of the file of the space function, if there is one, as `DriverStarted` has it."""
    name = spec.space_function
    digest = None if name is None else source_digest(name, project)
    return {} if digest is None else {f"space {name}": digest}


def _accept(journal: Journal, search: Search, request: Request) -> None:
    """Journal the spec where it is new or changed; the lock is held, so this is what counts."""
    spec, state = request.spec, journal.state
    if state.seq < 0:
        journal.append(StudyCreated(spec=spec.model_dump(mode="json"), project=request.project))
    else:
        changes = difference(StudySpec.accepted(state.spec), spec)
        _refuse(request.paths, state, changes, accept=request.accepted)
        if changes or state.project != request.project:
            journal.append(search.accept(spec, request.project, list(map(str, changes))))
    known = {history.source for history in state.histories}
    journal.append(*(each for each in request.histories if each.source not in known))


def _check_trackers(spec: StudySpec) -> None:
    for tracker in spec.trackers:
        check_library(tracker.name)


def _look(paths: StudyPaths) -> StudyState | None:
    if not paths.exists():
        return None
    other = holder(paths.lock)
    if other is not None:
        raise StudyLockedError(
            f"{paths.root}: is being run by {other}; wait for it, or end it with "
            f"`sweep stop {paths.name}`"
        )
    state = read_or_recover(paths)
    if state.seq >= 0:
        check_readable(paths, state)
    return None if state.seq < 0 else state


def _changed_to(
    paths: StudyPaths, state: StudyState, spec: StudySpec, *, accept: bool
) -> tuple[StudySpec, Sequence[Change]]:
    """The spec with which a study goes on that is to have ``spec``, and what that changes."""
    before = StudySpec.accepted(state.spec)
    spec = inheriting(before, spec)
    changes = difference(before, spec)
    _refuse(paths, state, changes, accept=accept)
    if state.trials and not refused(changes):
        spec = successor(before, spec)
    return spec, changes


def _refuse(
    paths: StudyPaths, state: StudyState, changes: Sequence[Change], *, accept: bool
) -> None:
    if not state.trials and not state.histories:
        return  # nothing was tried yet: there is no history that a change could falsify
    told = any(each.value is not None for each in state.iterations)  # else all have failed
    judged = (
        told
        or bool(state.histories)
        or any(
            report.value is not None
            for trial in state.unfinished.values()
            for report in trial.reports.values()
        )
    )
    metric = lasting(changes) if judged else []
    others = [change for change in refused(changes) if change not in lasting(changes)]
    if metric:
        ways = "undo the change, or give the study another name (`--set name=...`)"
        raise _changed(paths, metric, f"its results would not fit; {ways}")
    if others and not accept:
        raise _changed(
            paths,
            others,
            "undo the change, give the study another name (`--set name=...`), or go on with it: "
            "`--accept-changes` keeps every trial and tells the sampler those that fit",
        )


def _changed(paths: StudyPaths, wrong: Sequence[Change], advice: str) -> SpecChangedError:
    lines = "\n".join(f"  {change}" for change in wrong)
    return SpecChangedError(
        f"{paths.root}: the study was made with another spec:\n{lines}\n{advice}",
        [change.texts for change in wrong],
    )
