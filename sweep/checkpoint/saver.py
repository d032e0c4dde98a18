"""Saving behind the training: one thread, one save in flight."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sweep.checkpoint.codec import Captured
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.record import CheckpointRecord, Kind
from sweep.checkpoint.writer import SaveCancelled
from sweep.errors import CheckpointError

_REMEMBERED = 16
"""More than can become durable between two safe points: each save but two is waited for."""


@dataclass(frozen=True, slots=True)
class _Flight:
    draft: Draft
    written: Future[None]
    given_up: threading.Event
    replaceable: bool


class Target(Protocol):
    """Where captured states go: a `CheckpointStore`, or a rank's side of one."""

    @property
    def cpu_s(self) -> float: ...

    def write(
        self, draft: Draft, captured: Captured, cancelled: Callable[[], bool]
    ) -> CheckpointRecord: ...


class Saver:
    """Writes captured states to a store in a thread of its own. Used by one thread.

    A save that fails raises from the next call of any method, once.

    Attributes:
        cpu_s: CPU seconds that the saving thread spent on the save that ended last.
        last: the record of the newest durable checkpoint, if there is one.
    """

    def __init__(
        self,
        store: Target,
        saved: Callable[[CheckpointRecord], None],
        room: Path | None = None,
    ) -> None:
        """``saved`` is called in the saving thread, as soon as a checkpoint is durable.

        ``room`` is where the file system is looked at before each save: one that has less space
        than the last save took refuses the next one at once, before anything is written.
        """
        self._store, self._saved, self._room = store, saved, room
        self._thread: ThreadPoolExecutor | None = None
        self._flights: deque[_Flight] = deque()
        self._durable: deque[CheckpointRecord] = deque(maxlen=_REMEMBERED)
        self.cpu_s = 0.0
        self.last: CheckpointRecord | None = None

    def save(self, draft: Draft, captured: Captured, *, replace: bool = False) -> None:
        """Begin to write; waits for the save in flight, if there is one.

        With ``replace`` it does not wait: a `replaceable` save in flight is given up unless its
        manifest is written already; if it is given up, its parent is that of this one. What has
        replaced another is not replaced itself, so something always becomes durable.

        Raises:
            CheckpointError: an earlier save failed.
        """
        replaced = self._flights[-1].draft if replace and self.replaceable else None
        if replaced is not None:
            self._flights[-1].given_up.set()
        else:
            self.wait()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        given_up = threading.Event()
        written = self._thread.submit(self._write, draft, captured, given_up, replaced)
        replaceable = draft.kind is Kind.PERIODIC and replaced is None
        self._flights.append(_Flight(draft, written, given_up, replaceable))

    def secure(self) -> None:
        """Somebody relies on what was saved last: nothing replaces it any more."""
        if self._flights:
            self._flights[-1] = dataclasses.replace(self._flights[-1], replaceable=False)

    @property
    def busy(self) -> bool:
        """Whether a save is in flight."""
        return any(not flight.written.done() for flight in self._flights)

    @property
    def replaceable(self) -> bool:
        """Whether a save is in flight that another may replace."""
        return self.busy and self._flights[-1].replaceable

    def durable(self) -> tuple[CheckpointRecord, ...]:
        """The newest durable checkpoints, oldest first, as many as can matter to a caller."""
        return tuple(self._durable.copy())

    def check(self) -> None:
        """Do not wait.

        Raises:
            CheckpointError: an earlier save failed.
        """
        while self._flights and self._flights[0].written.done():
            self._flights.popleft().written.result()

    def wait(self) -> None:
        """Return when what was saved is durable.

        Raises:
            CheckpointError: it could not be saved.
        """
        while self._flights:
            self._flights.popleft().written.result()

    def close(self) -> None:
        """Wait for the save in flight and end the thread.

        Raises:
            CheckpointError: it could not be saved. The thread has ended all the same.
        """
        try:
            self.wait()
        finally:
            if self._thread is not None:
                self._thread.shutdown(wait=True)
                self._thread = None

    def _write(
        self,
        draft: Draft,
        captured: Captured,
        given_up: threading.Event,
        replaced: Draft | None,
    ) -> None:
        begun = time.thread_time()
        if replaced is not None and (self.last is None or self.last.id != replaced.id):
            draft = dataclasses.replace(draft, parent=replaced.parent)
        try:
            self._check_room(draft)
            record = self._store.write(draft, captured, given_up.is_set)
        except SaveCancelled:
            return
        finally:
            captured.release()
            self.cpu_s = time.thread_time() - begun + self._store.cpu_s
        self.last = record
        self._saved(record)
        self._durable.append(record)

    def _check_room(self, draft: Draft) -> None:
        if self._room is None or self.last is None:
            return
        free, needed = shutil.disk_usage(self._room).free, self.last.new_bytes
        if free < needed:
            why = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._room))
            raise CheckpointError(
                f"checkpoint {draft.id} cannot be saved: {self._room}: {free} bytes are free, and "
                f"the last one took {needed}; the older ones are untouched"
            ) from why
