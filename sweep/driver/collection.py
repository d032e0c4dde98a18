"""Garbage collection: retention applied to a whole study, and files that nothing refers to.

On a study that nobody runs, `sweep gc` takes the lock and does it itself. While a driver runs, only
that driver knows which files are in the making and which are being read, and only it may write the
journal. So `gc` leaves it a request in the study's directory; the driver does all of it between two
messages and answers with a file. Nothing of the running session is ever removed as garbage.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sweep import fsio
from sweep.checkpoint.memo import MemoStore
from sweep.checkpoint.store import CheckpointStore
from sweep.checkpoint.usage import freed
from sweep.clock import Clock
from sweep.driver.disposal import Disposal
from sweep.driver.keeper import Keeper
from sweep.errors import StoreError
from sweep.journal.event import CheckpointRetired, Event
from sweep.journal.journal import read_state
from sweep.journal.maintenance import maintenance
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.spec import StudySpec

LOOK_S = 0.2
"""The longest time between two looks of a driver for a request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """What was removed, or would be."""

    retired: Sequence[tuple[str, str]]
    """Checkpoints that ceased to be kept: (id, rule)."""
    garbage: Sequence[str]
    """Manifests of which there were files, and no row in the journal."""
    files: int
    """Files in all, those of the pool that nothing refers to any more included."""
    bytes: int
    failed: Sequence[str] = ()
    """What could not be removed, with the reason; tried again the next time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doomed:
    """Checkpoints that are to go, and what counts as garbage beside them."""

    retired: Sequence[tuple[str, str]]
    """(id, rule) of each."""
    manifests: Sequence[str]
    """Their manifests."""
    known: Collection[str]
    """Manifests that stay."""
    session: int
    """Files of this session and later ones are never garbage."""
    finished: Collection[int]
    """Trials that are over, whose memos of their own nobody asks for any more."""

    @classmethod
    def of(cls, keeper: Keeper, state: StudyState, session: int, now: float) -> Doomed:
        """What the rules of the study let go at the time ``now``, in unix seconds."""
        gone = keeper.of_study(now)
        manifests = [keeper.record(number, entry.id).manifest for number, entry in gone]
        return cls(
            retired=[(entry.id, str(entry.reason)) for _, entry in gone],
            manifests=manifests,
            known=state.manifests.difference(manifests),
            session=session,
            finished=state.trials.keys() - state.unfinished.keys(),
        )

    def events(self) -> list[Event]:
        """What the journal must durably say before anything is removed."""
        return [
            CheckpointRetired(trial=int(name.partition("@")[0]), checkpoint=name, reason=reason)
            for name, reason in self.retired
        ]


def measure(paths: StudyPaths, doomed: Doomed) -> Collected:
    """What the removal of ``doomed`` gives, with garbage and memos that nobody needs."""
    garbage = CheckpointStore(paths.checkpoints).garbage(
        {*doomed.known, *doomed.manifests}, session=doomed.session
    )
    gives = freed(paths.checkpoints, [*doomed.manifests, *garbage])
    memos = [path.stat().st_size for path in _memos(paths, doomed) if path.exists()]
    return Collected(
        retired=doomed.retired,
        garbage=garbage,
        files=gives.files + len(memos),
        bytes=gives.bytes + sum(memos),
    )


def collect(disposal: Disposal, paths: StudyPaths, doomed: Doomed) -> Collected:
    """Remove ``doomed``, which the journal knows to be retired, and all that nothing refers to.

    Raises:
        OSError: a directory cannot be read.
    """
    found = measure(paths, doomed)
    for path in _memos(paths, doomed):
        path.unlink(missing_ok=True)
    for manifest in (*doomed.manifests, *found.garbage):
        disposal.remove(manifest)
    failed = disposal.retry()
    CheckpointStore(paths.checkpoints).sweep_pool()
    return replace(found, failed=[f"{name}: {why}" for name, why in failed.items()])


def _memos(paths: StudyPaths, doomed: Doomed) -> list[Path]:
    return MemoStore(paths.memos).garbage(doomed.finished)


def collect_idle(paths: StudyPaths) -> Collected:
    """Apply retention to a study that nobody runs, and remove what nothing refers to.

    Raises:
        StudyLockedError, StoreError: as `maintenance`.
    """
    disposal = Disposal(paths.checkpoints)
    try:
        with maintenance(paths, "gc") as held:
            session = held.state.sessions + 1
            keeper = Keeper(StudySpec.accepted(held.state.spec), held.state)
            doomed = Doomed.of(keeper, held.state, session, held.now)
            held.record(*doomed.events())
            return collect(disposal, paths, doomed)
    finally:
        disposal.close()


def look(paths: StudyPaths, *, idle: bool) -> Collected:
    """What a collection would do now. Nothing is written.

    ``idle``: nobody runs the study, so what its last session left behind may go, too.
    """
    state = read_state(paths.journal)
    keeper = Keeper(StudySpec.accepted(state.spec), state)
    session = state.sessions + 1 if idle else state.sessions
    return measure(paths, Doomed.of(keeper, state, session, Clock(not_before=state.time)()))


class GcRequests:
    """The driver's side: it looks for a request, and answers once all is done."""

    def __init__(self, paths: StudyPaths, disposal: Disposal) -> None:
        self._paths, self._disposal = paths, disposal
        self._due = 0.0

    def take(self) -> str | None:
        """The name of a request that waits, which is taken with this; None where there is none."""
        now = time.monotonic()
        if now < self._due:
            return None
        self._due = now + LOOK_S
        try:
            name = self._paths.gc.read_text(errors="replace")
            self._paths.gc.unlink()
        except OSError:
            return None
        return name

    def carry_out(self, name: str, doomed: Doomed, seq: int) -> None:
        """Collect in the disposal's thread once ``seq`` is durable, and answer."""

        def work() -> None:
            try:
                answer = asdict(collect(self._disposal, self._paths, doomed))
            except OSError as error:
                answer = {"error": f"{self._paths.root}: {error}"}
            text = json.dumps({"request": name} | answer)
            with suppress(OSError):  # whoever asked waits in vain, and says so
                fsio.write_bytes(self._paths.gc_answer, text.encode())

        self._disposal.after(seq, work)


def read_answer(paths: StudyPaths, name: str) -> Collected | None:
    """The answer to the request ``name``, or None while there is none.

    Raises:
        StoreError: the driver could not do it.
    """
    try:
        answer = dict(json.loads(paths.gc_answer.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{paths.gc_answer}: cannot be read: {error}") from error
    if answer.pop("request", None) != name:
        return None
    if "error" in answer:
        raise StoreError(f"{paths.name}: the driver cannot clean up: {answer['error']}")
    try:
        return Collected(**answer)
    except TypeError as error:
        raise StoreError(f"{paths.gc_answer}: cannot be read: {error}") from error
