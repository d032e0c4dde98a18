"""Writing to the journal of a study that no driver runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sweep.errors import StudyNotFoundError
from sweep.journal.journal import Journal
from sweep.journal.lock import Lock
from sweep.journal.table import write_tables
from sweep.paths import StudyPaths


@contextmanager
def idle_journal(paths: StudyPaths) -> Iterator[Journal]:
    """The journal of a study, under its lock. When the block ends, all is durable.

    Raises:
        StudyNotFoundError: there is no study.
        StudyLockedError: a driver runs it; names that.
        StoreError: the journal cannot be read or written.
    """
    if not paths.exists():
        raise StudyNotFoundError(f"{paths.root}: no study")
    lock = Lock(paths.lock)
    try:
        journal = Journal(paths.journal, guard=lock.check)
        try:
            if journal.state.seq < 0:
                raise StudyNotFoundError(f"{paths.root}: the study has not begun")
            before = journal.state.seq
            yield journal
            if journal.state.seq != before:
                journal.flush()
                write_tables(journal.state, paths.tables)
        finally:
            journal.close()
    finally:
        lock.release()
