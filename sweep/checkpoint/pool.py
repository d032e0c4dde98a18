"""Files named by their content, which any number of checkpoints share as hard links.

::

    pool/ab/ab12....safetensors                              one name of the inode
    blobs/00003/000007.000000420-s001a02/ab12....safetensors     and another

Who has linked a file owns its inode, whatever happens to other names of it. So no lock is needed: a
pool entry whose inode has no other name (``st_nlink == 1``) is of no use to anybody and may go; a
saver that links it in that very moment keeps the inode, and only the pool forgets it. Entries need
not be durable either, since every checkpoint has names of its own.

A file may lie there as it is or packed (``.safetensors.zst``): the name is that of what is in it,
so either serves whoever needs the content, and a saver that packs shares with one that does not.

A link to a damaged file would make a new checkpoint that is damaged from birth. So whoever links an
entry that this process has neither written nor verified reads it first.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sweep.checkpoint.blob import OpenBlob, Written
from sweep.checkpoint.compression import SUFFIX, raw_size
from sweep.checkpoint.digest import PATTERN
from sweep.checkpoint.layout import shared_name
from sweep.errors import CheckpointError

NO_LINK = {
    errno.EPERM,
    errno.EXDEV,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
}
"""How a file system says that it cannot give a file one more name."""
_NAME = re.compile(rf"{PATTERN}\.safetensors({re.escape(SUFFIX)})?")
_TRUSTED_LIMIT = 1 << 16
_trusted: set[tuple[int, int, int, int]] = set()
"""Files that this process has written or verified: device, inode, time of change, size."""


class Pool:
    """The entries below one directory. Any number of threads and processes may use it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, written: Written) -> Path:
        return self._entry(shared_name(written))

    def forms(self, written: Written, *, packed: bool) -> Iterator[Written]:
        """What there is with this content, be it packed or not; the form that is asked for first.

        Raises:
            OSError: as the system says.
        """
        for form in (packed, not packed):
            found = replace(written, packed=0 if form else None)
            with suppress(FileNotFoundError):
                size = self.path(found).stat().st_size
                yield replace(found, packed=size if form else None)

    def link(self, written: Written, target: Path) -> bool:
        """Give the new name ``target`` to the pool's file with this content; False without one.

        Raises:
            OSError: as the system says.
        """
        entry = self.path(written)
        try:
            os.link(entry, target)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno == errno.EMLINK:  # has all the names it can have: a new file takes over
                entry.unlink(missing_ok=True)
            elif error.errno not in NO_LINK:
                raise
            return False
        if is_whole(target, written):
            return True
        target.unlink()
        entry.unlink(missing_ok=True)
        return False

    def add(self, written: Written, path: Path) -> None:
        """Let others share ``path``, which this process has just written and synced, or verified.

        Raises:
            OSError: as the system says.
        """
        trust(path.stat())
        entry = self.path(written)
        entry.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, entry)
        except FileExistsError:
            pass  # somebody was faster
        except OSError as error:
            if error.errno not in NO_LINK:
                raise

    def release(self, name: str) -> int:
        """Let an entry go that nothing refers to; the bytes that were given back.

        Raises:
            OSError: as the system says.
        """
        return _drop_unused(self._entry(name))

    def sweep(self) -> int:
        """Let every entry go that nothing refers to; the bytes that were given back.

        Raises:
            OSError: as the system says.
        """
        return sum(_drop_unused(entry) for entry in self.entries())

    def expel(self, name: str) -> None:
        """Take an entry out of the pool if its content is not what its name says.

        Raises:
            OSError: as the system says.
        """
        entry = self._entry(name)
        with suppress(FileNotFoundError):
            if not is_whole(entry, _claimed(entry), trusting=False):
                entry.unlink(missing_ok=True)

    def entries(self) -> Iterator[Path]:
        """All entries, in no order."""
        for directory in self._root.glob("*"):
            yield from (directory / name for name in shared_names(directory))

    def _entry(self, name: str) -> Path:
        return self._root / name[:2] / name


def shared_names(directory: Path) -> list[str]:
    """Names of the files below ``directory`` that are named by their content, in their order."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(file.name for file in directory.iterdir() if _NAME.fullmatch(file.name))
    return []


def is_whole(path: Path, expected: Written, *, trusting: bool = True) -> bool:
    """Whether the content is as expected; read only where this process does not know it yet.

    Raises:
        OSError: it cannot be read, for a reason that says nothing about its content.
    """
    try:
        with OpenBlob(path) as file:
            if not trusting or _identity(file.status()) not in _trusted:
                file.check(expected)
                trust(file.status())
    except CheckpointError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno not in (errno.EIO, errno.ENOENT):
            raise cause from None
        return False
    return True


def _claimed(entry: Path) -> Written:
    """What an entry must be, by its name, and by what it says of its size itself."""
    size, digest = entry.stat().st_size, entry.name.partition(".")[0]
    if not entry.name.endswith(SUFFIX):
        return Written(size, digest)
    with entry.open("rb") as file:
        return Written(raw_size(file.read(64)), digest, packed=size)


def trust(file: os.stat_result) -> None:
    """Remember a file that this process has written or verified."""
    if len(_trusted) >= _TRUSTED_LIMIT:
        _trusted.clear()  # costs reading some again, and nothing else
    _trusted.add(_identity(file))


def _identity(file: os.stat_result) -> tuple[int, int, int, int]:
    return file.st_dev, file.st_ino, file.st_mtime_ns, file.st_size


def _drop_unused(entry: Path) -> int:
    try:
        status = entry.stat()
        if status.st_nlink > 1:
            return 0
        entry.unlink()
    except FileNotFoundError:
        return 0
    return status.st_size
