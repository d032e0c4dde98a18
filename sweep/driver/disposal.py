"""Checkpoints that are no longer kept: their files go once the journal durably says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sweep.checkpoint.store import CheckpointStore
from sweep.errors import StoreError


class Disposal:
    """Removes files in a thread of its own, in the order in which they were given up."""

    def __init__(self, root: Path) -> None:
        """``root`` is the directory of a study's checkpoints."""
        self._root, self._store = root, CheckpointStore(root)
        self._waiting: deque[tuple[int, Callable[[], object]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="disposal")

    def give_up(self, manifest: str, seq: int) -> None:
        """Remove a checkpoint as soon as the event ``seq`` is durable."""
        self._waiting.append((seq, lambda: self._store.delete(manifest)))

    def set_aside(self, manifest: str, reason: str, seq: int) -> None:
        """Quarantine a damaged checkpoint as soon as the event ``seq`` is durable."""
        self._waiting.append((seq, lambda: self._store.quarantine(manifest, reason)))

    def settle(self, committed: int) -> None:
        """Events up to ``committed`` are durable."""
        while self._waiting and self._waiting[0][0] <= committed:
            self._thread.submit(self._waiting.popleft()[1])

    def clear_leftovers(self, known: Collection[str], session: int) -> None:
        """Remove what earlier sessions left behind and the journal does not know.

        Raises:
            StoreError: a file cannot be removed.
        """
        try:
            for leftover in self._store.garbage(known, session=session):
                self._store.delete(leftover)
            self._store.sweep_pool()
        except OSError as error:
            raise StoreError(f"{self._root}: cannot be cleaned: {error}") from error

    def close(self) -> None:
        """Wait for what is being removed."""
        self._thread.shutdown(wait=True)
