"""One writer: the lock of a study.

A POSIX record lock, which the system drops the moment the process dies, however it dies, and which
a forked child (a data loader's worker, say) does not inherit. So a dead driver's lock is free at
once, with nobody to judge whether it is stale.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.errors import StoreError, StudyLockedError

_held: set[Path] = set()
# Closing *any* descriptor of a file drops the process's record locks on it. Hence a process never
# opens a lock file that it holds.

_FLOCK = "hhqqi4x"  # struct flock on 64-bit Linux: type, whence, start, length, pid


@dataclass(frozen=True, slots=True)
class Holder:
    """The driver that holds a study."""

    pid: int
    host: str
    starting: bool = field(default=False, compare=False)
    """Whether it is not ready yet: Ray starts, say."""

    @property
    def status(self) -> str:
        """How the study stands that it holds."""
        return "starting" if self.starting else "running"

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lock:
    """The right to write one study, from construction to `release` or the death of the process.

    With ``wait`` it is waited for as long as another has it. With ``starting`` others see so, until
    `started` is called.

    Raises:
        StudyLockedError: another driver has it; the message names that driver.
        StoreError: the lock file cannot be made.
    """

    def __init__(self, path: Path, *, wait: bool = False, starting: bool = False) -> None:
        self._path = path
        if path in _held:
            raise StudyLockedError(f"{path.parent}: this process writes the study already")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened: {error.strerror}") from error
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            os.close(self._descriptor)
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise StoreError(f"{path}: cannot be locked: {error.strerror}") from error
            raise StudyLockedError(
                f"{path.parent}: is being run by {_named(path)}; wait for it, or end it with "
                f"`sweep stop {path.parent.name}`"
            ) from error
        _held.add(path)
        os.ftruncate(self._descriptor, 0)
        self._write(starting=starting)

    def _write(self, *, starting: bool) -> None:
        record: dict[str, object] = {"pid": os.getpid(), "host": socket.gethostname()}
        flag = json.dumps({"starting": starting})
        text = json.dumps(record | {"starting": True}) if starting else json.dumps(record)
        width = len(json.dumps(record)) + len(flag)  # so that a later write covers all of it
        os.pwrite(self._descriptor, text.ljust(width).encode(), 0)

    def started(self) -> None:
        """Have others see that the driver is ready."""
        self._write(starting=False)

    @property
    def held(self) -> bool:
        """Whether this process has the lock still."""
        return self._path in _held

    def check(self) -> None:
        """Raise `StoreError` where the lock file is not the one that was locked any more."""
        try:
            there = self._path.stat().st_ino
        except OSError:
            there = None
        if there != os.fstat(self._descriptor).st_ino:
            raise StoreError(f"{self._path}: was removed or replaced while the study ran")

    def release(self) -> None:
        if self._path in _held:
            _held.discard(self._path)
            os.close(self._descriptor)


def _named(path: Path) -> str:
    try:
        record = _record(path.read_bytes())
        return str(Holder(pid=record["pid"], host=record["host"]))
    except (OSError, KeyError):
        return "another process"


def _record(data: bytes) -> dict[str, Any]:
    """What a driver has written into its lock; nothing, where that cannot be read."""
    try:
        match json.loads(data):
            case {"pid": int(), "host": str()} as record:
                return dict(record)
    except (ValueError, RecursionError):
        pass
    return {}


def holder(path: Path) -> Holder | None:
    """The driver that holds the lock now, or None. Takes nothing and waits for nothing.

    Raises:
        StoreError: the lock file cannot be read.
    """
    if path in _held:
        return Holder(os.getpid(), socket.gethostname())
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        query = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, _ = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, query))
        if kind == fcntl.F_UNLCK:
            return None
        record = _record(os.pread(descriptor, 4096, 0))
        return Holder(
            pid=record.get("pid", 0),
            host=record.get("host", "an unknown host"),
            starting=bool(record.get("starting")),
        )
    except ValueError:
        return Holder(0, "an unknown host")
    finally:
        os.close(descriptor)
