"""Writes safetensors files (`sweep.checkpoint.blob`): hashed on the way, synced by and by.

A sync waits for the disk, and for the file system to commit. So many files are written first, with
the disk already at work, and are then synced together: the first pays for the commit of all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from sweep.checkpoint.blob import Array, Written, head, naming, ordered
from sweep.checkpoint.hint import start_writeback

_CHUNK = 1 << 24


@dataclass(frozen=True, slots=True)
class Fresh:
    """A new file that is whole but not durable yet. It is to be synced, or closed."""

    path: Path
    written: Written
    _file: FileIO
    """Kept open: only so does the sync report every error of the disk since the first write."""

    def sync(self) -> Written:
        """Make its content durable, and close it; the caller syncs the directory.

        Raises:
            OSError: as the system says.
        """
        with naming(self.path), self._file:
            os.fsync(self._file.fileno())
        return self.written

    def close(self) -> None:
        """Give it up; once it is synced, this does nothing."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Shared:
    """The file of one array, whose bytes depend on nothing else: it may be named by its content."""

    parts: tuple[memoryview, ...]
    written: Written

    @classmethod
    def of(cls, array: Array) -> Shared:
        """Hash the file without writing it; other threads may run meanwhile."""
        parts = tuple(_parts({"array": array}))
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        return cls(parts, Written(sum(map(len, parts)), digest.hexdigest()))

    def write(self, path: Path) -> Fresh:
        """Write the new file ``path``, and let the disk begin with it.

        Raises:
            OSError: as the system says.
        """
        file = _write(path, self.parts)
        start_writeback(file.fileno())
        return Fresh(path, self.written, file)


def write_blob(path: Path, arrays: Mapping[str, Array]) -> Written:
    """Write ``arrays`` to the new file ``path`` and sync it; the caller syncs the directory.

    Raises:
        OSError: as the system says.
    """
    digest, parts = hashlib.sha256(), tuple(_parts(arrays))
    if sum(map(len, parts)) <= _CHUNK:  # a copy costs less than many calls of the system
        parts = (memoryview(b"".join(parts)),)
    file = _write(path, parts, digest.update)
    return Fresh(path, Written(sum(map(len, parts)), digest.hexdigest()), file).sync()


def _parts(arrays: Mapping[str, Array]) -> Iterator[memoryview]:
    views = {name: array.view() for name, array in arrays.items()}
    yield memoryview(head(arrays, views))
    for name in ordered(arrays):
        yield views[name]


def _write(
    path: Path,
    parts: tuple[memoryview, ...],
    passing: Callable[[memoryview], object] = lambda chunk: None,
) -> FileIO:
    """The new file with all ``parts``, still open; each chunk is shown to ``passing`` before."""
    with naming(path):
        file = path.open("xb", buffering=0)
        try:
            for part in parts:
                for start in range(0, len(part), _CHUNK):
                    chunk = part[start : start + _CHUNK]
                    passing(chunk)
                    while chunk:
                        chunk = chunk[os.write(file.fileno(), chunk) :]
        except BaseException:
            file.close()
            raise
    return file
