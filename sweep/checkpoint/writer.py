"""Writes the arrays of one checkpoint: large ones as shared files, the small ones in one file.

Each file is written as soon as its array is hashed, and the disk begins with it at once. The syncs
come together at the end: of all files, then of the directories, then new files join the pool.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from sweep import fsio
from sweep.checkpoint.blob import Array, Written, naming
from sweep.checkpoint.fresh import Fresh, Shared, write_blob
from sweep.checkpoint.layout import shared_name, small_name
from sweep.checkpoint.manifest import Blob
from sweep.checkpoint.pool import NO_LINK, Pool

SHARED_FROM = 256 * 1024
"""Arrays of at least so many bytes have a file of their own. Below, the file's sync costs more than
writing the bytes."""
_THREADS = 2
"""Hashing takes about as long as the disk; more threads than these gained nothing."""
_OPEN = 64
"""At most so many files are open at once: a thread syncs its share while others write theirs."""


class SaveCancelled(Exception):  # noqa: N818  control flow, never seen by users
    """A save was given up before its manifest was written."""


class Writer:
    """Writes arrays below ``directory``, which must not be there yet.

    Attributes:
        new_bytes: size of the files that were written, and not linked.
        cpu_s: CPU seconds that hashing and writing large arrays took in other threads.
    """

    def __init__(
        self,
        pool: Pool,
        directory: Path,
        cancelled: Callable[[], bool] = lambda: False,
        *,
        level: int | None = None,
    ) -> None:
        """``cancelled`` is asked before each file; ``level`` of zstd packs them, None does not."""
        self._pool, self._directory, self._cancelled = pool, directory, cancelled
        self._level = level
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        self._written: dict[str, Written] = {}
        self._unsynced: list[Fresh] = []
        self.new_bytes, self.cpu_s = 0, 0.0

    def heed(self) -> None:
        """Raise `SaveCancelled` where the save was given up."""
        if self._cancelled():
            raise SaveCancelled

    def write(self, arrays: Mapping[str, Array]) -> tuple[Blob, ...]:
        """Make ``arrays`` durable.

        Raises:
            OSError: as the system says. Files may be left below the directory.
            SaveCancelled: it was given up; files may be left, too.
        """
        self.heed()
        if not arrays:
            return ()
        fsio.make_directory(self._directory.parent)
        self._directory.mkdir(exist_ok=True)
        sizes = {name: len(array.view()) for name, array in arrays.items()}
        large = sorted(
            (name for name in arrays if sizes[name] >= SHARED_FROM), key=sizes.__getitem__
        )
        small = {name: arrays[name] for name in arrays if sizes[name] < SHARED_FROM}
        try:
            blobs = self._write_large({name: arrays[name] for name in reversed(large)})
            if small:  # large ones are on their way to the disk meanwhile
                blobs.append(self._write_small(small))
            self._join_pool()
        finally:
            for file in self._unsynced:
                file.close()
        fsio.sync_directory(self._directory)
        fsio.sync_directory(self._directory.parent)
        return tuple(blobs)

    def _write_small(self, arrays: Mapping[str, Array]) -> Blob:
        self.heed()
        path = self._directory / small_name(packed=self._level is not None)
        written = write_blob(path, arrays, self._level)
        self.new_bytes += written.stored
        return Blob(path=self._name(path), written=written)

    def _write_large(self, arrays: Mapping[str, Array]) -> list[Blob]:
        if not arrays:
            return []
        names: dict[str, list[str]] = {}
        executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="checkpoint-file")
        try:
            for name, digest in zip(
                arrays, executor.map(self._share, arrays.values()), strict=True
            ):
                names.setdefault(digest, []).append(name)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
        blobs = []
        for digest, found in names.items():
            written = self._written[digest]
            path = self._name(self._path(written))
            blobs.append(Blob(path=path, written=written, arrays=tuple(found)))
        return blobs

    def _share(self, array: Array) -> str:
        """The digest of an array; one file with it, be it linked or written, is in the directory,
        or another thread is about to write it."""
        self.heed()
        begun = time.thread_time()
        try:
            return self._shared(array)
        finally:
            with self._lock:
                self.cpu_s += time.thread_time() - begun

    def _shared(self, array: Array) -> str:
        shared = Shared.of(array)
        digest = shared.written.digest
        with self._lock:
            if digest in self._begun:
                return digest
            self._begun.add(digest)
        linked = self._linked(shared.written)
        if linked is not None:
            self._written[digest] = linked
            return digest
        form = shared.written if self._level is None else replace(shared.written, packed=0)
        file = shared.write(self._path(form), self._level)
        self._written[digest] = file.written
        with self._lock:
            self._unsynced.append(file)
            full = len(self._unsynced) >= _OPEN // _THREADS
        if full:
            self._join_pool()
        return digest

    def _linked(self, written: Written) -> Written | None:
        for form in self._pool.forms(written, packed=self._level is not None):
            path = self._path(form)
            with naming(path):
                if self._pool.link(form, path):
                    return form
        return None

    def _join_pool(self) -> None:
        """Sync what was written up to now, so that others may share it."""
        with ExitStack() as stack:
            with self._lock:
                files, self._unsynced = self._unsynced, []
                self.new_bytes += sum(file.written.stored for file in files)
            for file in files:
                stack.callback(file.close)
            for file in files:
                file.sync()
            for file in files:
                with naming(file.path):
                    self._pool.add(file.written, file.path)

    def _path(self, written: Written) -> Path:
        return self._directory / shared_name(written)

    def _name(self, path: Path) -> str:
        return f"{self._directory.parent.name}/{self._directory.name}/{path.name}"


def link_or_copy(source: Path, target: Path) -> bool:
    """Give ``source`` the new name ``target``; False where that took a copy, which is synced.

    Raises:
        OSError: as the system says; FileNotFoundError without a ``source``.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (*NO_LINK, errno.EMLINK):
            raise
        with source.open("rb") as file, target.open("xb") as copy:
            shutil.copyfileobj(file, copy, 1 << 24)
            copy.flush()
            os.fsync(copy.fileno())
        return False
    return True
