"""Writing a study's journal without running its trials: for commands on a study that is idle."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sweep.errors import StoreError
from sweep.journal.event import DriverStarted, DriverStopped, Event
from sweep.journal.journal import Journal
from sweep.journal.lock import Lock
from sweep.journal.stage import evict
from sweep.journal.state import StudyState
from sweep.journal.table import drop_newer, write_tables
from sweep.journal.version import versions
from sweep.paths import StudyPaths


class Maintenance:
    """The right to write an idle study.

    Whoever writes a journal is a session of it, so the first event that is recorded here opens one.
    (Otherwise the session of a driver that was killed would seem to have lasted until now.)
    """

    def __init__(self, paths: StudyPaths, journal: Journal, purpose: str) -> None:
        self.paths, self._journal, self._purpose = paths, journal, purpose
        self._session: int | None = None

    @property
    def state(self) -> StudyState:
        return self._journal.state

    @property
    def now(self) -> float:
        """Unix seconds, as the journal counts them."""
        return self._journal.now

    def record(self, *events: Event, session: int | None = None) -> None:
        """Journal ``events``, as one commit and durably.

        ``session`` is the number of the session that the first of them opens, by default the next.

        Raises:
            StoreError: they cannot be written.
        """
        if not events:
            return
        with self._journal.together():
            if self._session is None:
                self._session = self.state.sessions + 1 if session is None else session
                self._journal.append(self._started(self._session))
            self._journal.append(*events)
        self._journal.flush()

    def _started(self, session: int) -> DriverStarted:
        return DriverStarted(
            session=session, host=socket.gethostname(), pid=os.getpid(), versions=versions()
        )

    def finish(self) -> None:
        if self._session is not None:
            self._journal.append(DriverStopped(session=self._session, reason=self._purpose))
            self._journal.flush()
            write_tables(self.state, self.paths.tables)


@contextmanager
def maintenance(
    paths: StudyPaths, purpose: str, *, before: Callable[[], None] = lambda: None
) -> Iterator[Maintenance]:
    """Hold an idle study; ``purpose`` is noted as the reason why its session ended.

    ``before`` is called under the lock, before the journal is opened.

    Raises:
        StudyLockedError: a driver runs it.
        StoreError: the journal cannot be read or written, or has not begun.
    """
    lock = Lock(paths.lock)
    try:
        evict(paths.journal)
        before()
        journal = Journal(paths.journal, guard=lock.check)
        try:
            drop_newer(paths.tables, journal.committed)
            if journal.state.seq < 0:
                raise StoreError(f"{paths.root}: the study has not begun; run its YAML again")
            held = Maintenance(paths, journal, purpose)
            yield held
            held.finish()
        finally:
            journal.close()
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{paths.root}: cannot be read or written: {error}") from error
    finally:
        lock.release()
