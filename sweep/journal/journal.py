"""The journal of a study as its one writer sees it.

`append` folds events into the state at once and hands them to a thread that commits them: all that
has gathered is written as one segment, at most every `COMMIT_INTERVAL_S`. Since there is one order,
what is on the disk is always a prefix of what happened. What must not be shown before it is durable
waits for `committed`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from sweep import fsio
from sweep.clock import Clock
from sweep.errors import JournalError, StoreError, StudyLockedError
from sweep.journal.damage import foreign
from sweep.journal.event import Entry, Event, StudyCreated
from sweep.journal.fold import apply, fold
from sweep.journal.listing import Segment, list_segments
from sweep.journal.segment import (
    decode_table,
    merge_segments,
    read_entries,
    read_first,
    read_parts,
    write_segment,
)
from sweep.journal.stage import Stage
from sweep.journal.state import StudyState

COMMIT_INTERVAL_S = 0.05
"""At most one segment is written in this time."""

FAN_IN = 32
"""So many adjacent segments of one size class are compacted into one of the next."""

COMPACT_AT_CLOSE = 100_000
"""A journal of no more events than this is left as a single segment when its driver ends."""


def first_event(directory: Path) -> StudyCreated | None:
    """The event with which the study began, or None where none is committed yet.

    Raises:
        JournalError, JournalVersionError: the journal is damaged, or newer than this sweep.
    """
    beginning = beginning_of(directory)
    return None if beginning is None else beginning[0]


def beginning_of(directory: Path) -> tuple[StudyCreated, float] | None:
    """That event and when it was; only the first row of the journal is read.

    Raises:
        JournalError, JournalVersionError: as `first_event`.
    """
    while segments := list_segments(directory)[0]:
        try:
            entry = read_first(segments[0])
        except FileNotFoundError:  # compacted away since it was listed
            continue
        if not isinstance(entry.event, StudyCreated):
            raise JournalError(f"{directory}: begins with a {entry.event.type}, not with a study")
        return entry.event, entry.time
    return None


def read_state(directory: Path, until: int | None = None) -> StudyState:
    """The state of the study whose journal lies in ``directory``. Takes no lock.

    ``until`` is the last event that counts; by default that is the newest one.

    Raises:
        JournalError, JournalVersionError: the journal is damaged, or newer than this sweep.
    """
    entries = read_entries(directory)
    with foreign(directory):
        return fold(entries if until is None else islice(entries, until + 1))


class Journal:
    """Appends events durably; the caller holds the study's lock.

    Attributes:
        state: the fold over all entries, those not committed yet included.
    """

    def __init__(
        self,
        directory: Path,
        *,
        follow: Callable[[Event], None] = lambda event: None,
        guard: Callable[[], None] = lambda: None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Open the journal in ``directory``, which is made if it is not there.

        ``follow`` is called with each event after it was folded: those of the past now, those to
        come as they are appended. ``guard`` is called before each commit, and raises where the
        right to write was lost. ``clock`` gives unix seconds; by default they go on evenly from the
        system's time now, or from the newest event where that is later.

        Raises:
            JournalError, JournalVersionError: as `read_entries`.
            StoreError: the directory cannot be made or written.
        """
        self._directory = directory
        self._follow, self._guard = follow, guard
        self._segments, self._stage = _recover(directory)
        self.state = StudyState()
        self._digest = 0
        for segment in self._segments:
            for part in read_parts(segment):
                self._digest = part["digest"][-1].as_py()
                with foreign(segment.path):
                    entries = list(decode_table(part))
                for entry in entries:
                    apply(self.state, entry)
                    follow(entry.event)
        self._clock = Clock(not_before=self.state.time) if clock is None else clock
        self.committed = self.state.seq
        self._buffer: list[Entry] = []
        self._gathered: list[Entry] = []
        self._together = False
        self._changed = threading.Condition()
        self._urgent = False
        self._closing = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._commit_loop, name="journal", daemon=True)
        self._thread.start()

    @property
    def now(self) -> float:
        """The time that an event would get, in unix seconds; it never goes back."""
        return max(self._clock(), self.state.time)

    def append(self, *events: Event) -> list[Entry]:
        """Fold ``events`` into the state, to be committed together, and return their entries.

        Raises:
            StoreError: an earlier commit failed; nothing after it will be written.
            JournalError: an event cannot follow the state; nothing of it is written.
        """
        now = self.now
        entries = []
        for event in events:
            entry = Entry(seq=self.state.seq + 1, time=round(now, 6), event=event)
            apply(self.state, entry)
            self._follow(event)
            entries.append(entry)
        with self._changed:
            self._raise_error()
            self._gathered.extend(entries)
            if not self._together:
                self._hand_over()
        return entries

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is appended in the block is committed as a whole: a kill cannot split it."""
        if self._together:
            yield
            return
        self._together = True
        try:
            yield
        finally:
            self._together = False
            with self._changed:
                self._hand_over()

    def _hand_over(self) -> None:
        self._buffer.extend(self._gathered)
        self._gathered = []
        self._changed.notify_all()

    def flush(self) -> None:
        """Return when everything appended so far is durable.

        Raises:
            StoreError: it cannot be written.
        """
        last = self.state.seq
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.committed >= last or self._error is not None)
            self._raise_error()

    def check(self) -> None:
        """Raise what went wrong in the committing thread, if anything did."""
        with self._changed:
            self._raise_error()

    def close(self) -> None:
        """Commit what is left and end the thread.

        Raises:
            StoreError: it cannot be written.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._stage.close()
        self._raise_error()

    def _raise_error(self) -> None:
        if isinstance(self._error, StudyLockedError):
            raise self._error
        if self._error is not None:
            raise StoreError(
                f"{self._directory}: the journal cannot be written: {self._error}; what was "
                "committed before is safe; mend the store and resume"
            ) from self._error

    def _commit_loop(self) -> None:
        last_commit = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._buffer or self._closing)
                pause = last_commit + COMMIT_INTERVAL_S - time.monotonic()
                if pause > 0:
                    self._changed.wait_for(lambda: self._urgent or self._closing, timeout=pause)
                batch, self._buffer = self._buffer, []
                closing = self._closing
                self._urgent = False
            last_commit = time.monotonic()
            try:
                self._commit(batch, closing)
            except Exception as error:  # noqa: BLE001  handed to the caller's next call
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            if closing:
                return

    def _commit(self, batch: Sequence[Entry], closing: bool) -> None:
        if batch:
            self._guard()
            segment, self._digest = write_segment(self._directory, batch, self._digest, self._stage)
            self._segments.append(segment)
            with self._changed:
                self.committed = batch[-1].seq
                self._changed.notify_all()
        everything = closing and self.committed < COMPACT_AT_CLOSE
        run = self._segments if everything else due_compaction(self._segments)
        if len(run) > 1:
            self._guard()
            merged = merge_segments(self._directory, run, self._stage)
            self._segments = [*self._segments[: -len(run)], merged]


def due_compaction(segments: Sequence[Segment]) -> Sequence[Segment]:
    """The newest segments that are to become one, or none.

    Segments of `FAN_IN` ** k events or more, and less than the next power, are of size class k.
    When so many of a class (or smaller ones) stand at the end, they are merged; so each event is
    rewritten once a class, and the number of files grows with the logarithm of the journal.
    """
    widest: Sequence[Segment] = ()
    limit = FAN_IN
    while True:
        run = _trailing(segments, limit)
        if len(run) >= FAN_IN:
            widest = run
        if len(run) == len(segments):
            return widest
        limit *= FAN_IN


def _trailing(segments: Sequence[Segment], limit: int) -> Sequence[Segment]:
    start = len(segments)
    while start and len(segments[start - 1]) < limit:
        start -= 1
    return segments[start:]


def _recover(directory: Path) -> tuple[list[Segment], Stage]:
    """Make the directory, and take over what another writer has left there: from here on it can
    publish nothing, so that what is listed is all that there is."""
    try:
        fsio.make_directory(directory)
    except OSError as error:
        raise StoreError(
            f"{directory}: cannot be made: {error.strerror}; give another --store"
        ) from error
    try:
        stage = Stage(directory)
        segments, covered = list_segments(directory)
        for leftover in _leftovers(directory, covered):
            leftover.unlink()
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{directory}: cannot be written: {error.strerror}") from error
    return segments, stage


def _leftovers(directory: Path, covered: Sequence[Segment]) -> Iterator[Path]:
    yield from directory.glob(".*.tmp")
    yield from (segment.path for segment in covered)
