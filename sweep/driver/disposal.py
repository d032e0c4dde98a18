"""Checkpoints that are no longer kept: their files go once the journal durably says so."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sweep.checkpoint.store import CheckpointStore

_log = logging.getLogger("sweep")


class Disposal:
    """Removes files in a thread of its own, in the order in which they were given up.

    A file that cannot be removed stops nothing: it is warned of, once, and tried again by `retry`
    and when a driver starts.
    """

    def __init__(self, root: Path) -> None:
        """``root`` is the directory of a study's checkpoints."""
        self._root, self._store = root, CheckpointStore(root)
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="disposal")
        self._left: dict[str, str] = {}
        self._warned = False

    def give_up(self, manifest: str, seq: int) -> None:
        """Remove a checkpoint as soon as the event ``seq`` is durable."""
        self.after(seq, lambda: self.remove(manifest))

    def set_aside(self, manifest: str, reason: str, seq: int) -> None:
        """Quarantine a damaged checkpoint as soon as the event ``seq`` is durable."""
        self.after(seq, lambda: self._quarantine(manifest, reason))

    def after(self, seq: int, work: Callable[[], None]) -> None:
        """Have ``work`` done in the thread once ``seq`` is durable, after all that came before."""
        self._waiting.append((seq, work))

    def settle(self, committed: int) -> None:
        """Events up to ``committed`` are durable."""
        while self._waiting and self._waiting[0][0] <= committed:
            self._thread.submit(self._waiting.popleft()[1])

    def clear_leftovers(self, known: Collection[str], session: int) -> None:
        """Remove what earlier sessions left behind and the journal does not know."""
        try:
            leftovers = self._store.garbage(known, session=session)
        except OSError as error:
            self._warn(error)
            return
        for leftover in leftovers:
            self.remove(leftover)
        try:
            self._store.sweep_pool()
        except OSError as error:
            self._warn(error)

    def remove(self, manifest: str) -> None:
        """Remove the files of a checkpoint, in the calling thread; warn where that fails."""
        try:
            self._store.delete(manifest)
        except OSError as error:
            self._left[manifest] = str(error)
            self._warn(error)
        else:
            self._left.pop(manifest, None)

    def _quarantine(self, manifest: str, reason: str) -> None:
        try:
            self._store.quarantine(manifest, reason)
        except OSError as error:
            self._warn(error)

    def retry(self) -> dict[str, str]:
        """Try again what could not be removed; what still cannot, with the reasons."""
        for manifest in list(self._left):
            self.remove(manifest)
        return dict(self._left)

    def close(self) -> None:
        """Wait for what is being removed."""
        self._thread.shutdown(wait=True)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "%s: files of retired checkpoints cannot be removed: %s; the study goes on, and "
                "the next start and `sweep gc` try again",
                self._root,
                error,
            )
