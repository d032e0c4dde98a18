"""Saving behind the training: one thread, one save in flight."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from sweep.checkpoint.codec import Captured
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.store import CheckpointStore, Draft


class Saver:
    """Writes captured states to a store in a thread of its own. Used by one thread.

    A save that fails raises from the next call of any method, once.
    """

    def __init__(self, store: CheckpointStore, saved: Callable[[CheckpointRecord], None]) -> None:
        """``saved`` is called in the saving thread, as soon as a checkpoint is durable."""
        self._store, self._saved = store, saved
        self._thread: ThreadPoolExecutor | None = None
        self._flight: Future[None] | None = None

    def save(self, draft: Draft, captured: Captured) -> None:
        """Begin to write; waits for the save in flight, if there is one.

        Raises:
            CheckpointError: an earlier save failed.
        """
        self.wait()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._flight = self._thread.submit(self._write, draft, captured)

    def check(self) -> None:
        """Do not wait.

        Raises:
            CheckpointError: an earlier save failed.
        """
        if self._flight is not None and self._flight.done():
            self.wait()

    def wait(self) -> None:
        """Return when what was saved is durable.

        Raises:
            CheckpointError: it could not be saved.
        """
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.result()

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

    def _write(self, draft: Draft, captured: Captured) -> None:
        try:
            record = self._store.write(draft, captured)
        finally:
            captured.release()
        self._saved(record)
