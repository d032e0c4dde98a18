"""Atomic and durable writes: what has its final name is whole and on the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def is_full(error: BaseException | None) -> bool:
    """Whether ``error``, or what it was raised from, says that there is no space left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def sync_directory(path: Path) -> None:
    """Make the names in ``path`` durable (a rename is not, until its directory is synced)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create ``path`` and its parents, each durable in its parent. Existing ones are left alone."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)


def temporary_name(path: Path) -> Path:
    """The name under which ``path`` is written before it is moved into place.

    It begins with a dot, so that readers of a directory of Parquet files pass it over.
    """
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def put(file: Path, path: Path) -> None:
    """Move ``file``, which is written, to ``path`` beside it: durably, and over what is there."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    file.replace(path)
    sync_directory(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the name ``path``, durably, when the block ends without error.

    Raises:
        OSError: as the system says; nothing is left behind under either name that was not there.
    """
    temporary = temporary_name(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, atomically and durably."""
    with writing(path) as file:
        file.write(data)
