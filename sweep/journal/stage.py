"""The fence of a journal: segments get into it from a staging directory that one writer owns.

A look at the lock cannot protect a write that comes after it: a driver may be paused between the
two (SIGSTOP, a suspended machine, a stalled network file system) for as long as another one takes
over and writes. So each writer stages its segments in a directory of its own inside the journal
(``.stage-...``; readers pass it over), and whoever opens the journal takes all staging directories
of others away first, and lists the segments then. What a writer published before that is in the
listing; after it the system itself refuses, since the file to be published is not there.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sweep import fsio
from sweep.errors import StudyLockedError

_PREFIX = ".stage-"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links answer."""


class Stage:
    """The right to publish segments in ``directory``, until another one is made there."""

    def __init__(self, directory: Path) -> None:
        """Take the right from whoever had it.

        Raises:
            OSError: the directory cannot be written.
        """
        evict(directory)
        self._directory = directory
        self._path = directory / f"{_PREFIX}{uuid.uuid4().hex}"
        self._path.mkdir()

    @contextmanager
    def publishing(self, name: str) -> Iterator[BinaryIO]:
        """A file to write that is in the journal as ``name``, durably, after the block.

        Raises:
            StudyLockedError: another writer has taken the right, or has published that name.
            OSError: as the system says. Nothing is in the journal then.
        """
        staged = self._path / name
        with self.fenced():
            with staged.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _place(staged, self._directory / name)
        fsio.sync_directory(self._directory)

    def remove(self, name: str) -> None:
        """Take the file ``name`` out of the journal, if it is there.

        Raises:
            StudyLockedError, OSError: as `publishing`.
        """
        moved = self._path / name
        with self.fenced():
            try:
                # A plain unlink could hit what another writer has put there since.
                (self._directory / name).rename(moved)
            except FileNotFoundError:
                if not self._path.is_dir():
                    raise
            moved.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the right back."""
        shutil.rmtree(self._path, ignore_errors=True)

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """Say of what the system refuses because of another writer that it is so."""
        try:
            yield
        except FileExistsError as error:
            raise StudyLockedError(f"{self._directory}: {_TAKEN}") from error
        except FileNotFoundError as error:
            if self._path.is_dir() or not self._directory.is_dir():
                raise
            raise StudyLockedError(f"{self._directory}: {_TAKEN}") from error


_TAKEN = (
    "another process has taken the study over; what this one had committed is kept, "
    "nothing more of it is written"
)


def evict(directory: Path) -> None:
    """Take the right to publish in ``directory`` from whoever has it.

    Raises:
        OSError: the directory cannot be written.
    """
    for stage in directory.glob(f"{_PREFIX}*"):
        # Renamed first, so that nothing can be made in it; then each file loses its last name, so
        # that the system refuses to link one that it has looked up before the renaming.
        gone = stage.with_name(f"{_PREFIX}{uuid.uuid4().hex}")
        stage.rename(gone)
        shutil.rmtree(gone)


def _place(staged: Path, path: Path) -> None:
    """Move ``staged`` to ``path``, where nothing may be."""
    try:
        os.link(staged, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        staged.rename(path)
        return
    staged.unlink(missing_ok=True)
