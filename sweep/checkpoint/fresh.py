"""Writes safetensors files (`sweep.checkpoint.blob`): hashed on the way, synced by and by.

A sync waits for the disk, and for the file system to commit. So many files are written first, with
the disk already at work, and are then synced together: the first pays for the commit of all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

from sweep.checkpoint import digest
from sweep.checkpoint.blob import Array, Written, head, naming, ordered
from sweep.checkpoint.compression import itemsize_of, pack
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

    def start(self) -> None:
        """Let the disk begin with it."""
        start_writeback(self._file.fileno())

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
        made = digest.begin()
        for part in parts:
            made.update(part)
        return cls(parts, Written(sum(map(len, parts)), made.digest()))

    def write(self, path: Path, level: int | None = None) -> Fresh:
        """Write the new file ``path``, and let the disk begin with it.

        ``level`` of zstd to pack it with; None: as it is.

        Raises:
            OSError: as the system says.
        """
        if level is None:
            fresh = Fresh(path, self.written, _write(path, self.parts))
        else:
            fresh = _write_packed(path, self.parts, self.written, level)
        fresh.start()
        return fresh


def write_blob(path: Path, arrays: Mapping[str, Array], level: int | None = None) -> Written:
    """Write ``arrays`` to the new file ``path`` and sync it; the caller syncs the directory.

    ``level`` of zstd to pack it with; None: as it is.

    Raises:
        OSError: as the system says.
    """
    made, parts = digest.begin(), tuple(_parts(arrays))
    size = sum(map(len, parts))
    # A copy costs less than many calls of the system, and small parts pack badly.
    if level is not None or size <= _CHUNK:
        parts = (memoryview(b"".join(parts)),)
    if level is not None:
        written = Written(size, digest.digest_of(parts[0]))
        return _write_packed(path, parts, written, level).sync()
    file = _write(path, parts, made.update)
    return Fresh(path, Written(size, made.digest()), file).sync()


def _write_packed(path: Path, parts: tuple[memoryview, ...], written: Written, level: int) -> Fresh:
    file = _write(path, pack(parts, written.bytes, itemsize_of(parts[0]), level))
    return Fresh(path, replace(written, packed=os.fstat(file.fileno()).st_size), file)


def _parts(arrays: Mapping[str, Array]) -> Iterator[memoryview]:
    views = {name: array.view() for name, array in arrays.items()}
    yield memoryview(head(arrays, views))
    for name in ordered(arrays):
        yield views[name]


def _write(
    path: Path,
    parts: Iterable[bytes | memoryview],
    passing: Callable[[memoryview], object] = lambda chunk: None,
) -> FileIO:
    """The new file with all ``parts``, still open; each chunk is shown to ``passing`` before."""
    with naming(path):
        file = path.open("xb", buffering=0)
        try:
            for part in parts:
                for start in range(0, len(part), _CHUNK):
                    chunk = memoryview(part)[start : start + _CHUNK]
                    passing(chunk)
                    while chunk:
                        chunk = chunk[os.write(file.fileno(), chunk) :]
        except BaseException:
            file.close()
            raise
    return file
