"""Whose turn it is to do a piece of work that several processes want done once.

A POSIX record lock on a file: the system drops it the moment the process dies, however it dies, and
a forked child (a data loader's worker, say) does not inherit it. Over NFS it holds between hosts
where the server locks (NFSv4, or v3 with lockd), and a dead host's lock is free after its lease.

The system finds processes that wait for each other, and takes a wait that was ended, but cannot be
taken back, for one that goes on. That misleads it only where a process that has left such a wait
then holds a lock for which the holder of the first one asks. In a study none does: a wait is
ended when its study is halted, of a halted study no trial is begun, and one that still computes
has ended, or is killed, before another driver may take the study. So each ended wait leads from a
study to one that was halted earlier, and no circle of waits has one in it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

from sweep.errors import CheckpointError, UsageError

_mutex = threading.Lock()
_held: set[Path] = set()
# Closing *any* descriptor of a file drops the process's record locks on it. Hence a process opens a
# lock file once at a time: to hold it, or, in one thread, to wait for it.
_waiters: dict[Path, _Waiter] = {}

_Word = int | OSError | None
"""A descriptor that is locked, what went wrong, or that the wait is to end."""


@contextmanager
def turn(path: Path, when_stopping: Callable[[Callable[[], None]], None]) -> Iterator[bool]:
    """Hold the lock file ``path`` for the time of the block; wait for it as long as it takes.

    Args:
        path: the file; its directory exists. It is removed again in the end.
        when_stopping: takes a function that it will call, from any thread or a signal handler, if
            the wait shall end.

    Yields:
        Whether it is held: False where the wait was ended.

    Raises:
        UsageError: this process holds it already, or two processes wait for each other.
        CheckpointError: the file cannot be made or locked, with its path.
    """
    try:
        descriptor = _take(path, when_stopping)
    except OSError as error:
        if error.errno == errno.EDEADLK:
            raise UsageError(
                f"{path}: two trials wait for each other; nest calls of once in the same order"
            ) from error
        raise CheckpointError(f"{path}: cannot be locked: {error}") from error
    if descriptor is None:
        yield False
        return
    try:
        yield True
    finally:
        with _mutex:
            # First the name, then the lock: who waits finds that the name is another file's.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            _held.discard(path)
            os.close(descriptor)


def is_taken(path: Path) -> bool:
    """Whether somebody holds the lock file, or waits for it in this process. Takes nothing.

    Raises:
        OSError: as the system says.
    """
    with _mutex:
        if path in _held or path in _waiters:
            return True
        if not path.exists():
            return False
        try:
            os.close(_lock(path, fcntl.LOCK_NB))
        except (BlockingIOError, PermissionError):
            return True
        return False


def _take(path: Path, when_stopping: Callable[[Callable[[], None]], None]) -> int | None:
    heard: SimpleQueue[_Word] = SimpleQueue()  # its `put` may be called by a signal handler
    with _mutex:
        if path in _held:
            raise UsageError("trial.once: the function asks for the very value that it computes")
        waiter = _waiters.get(path)
        if waiter is None:
            try:
                return _hold(path, _lock(path, fcntl.LOCK_NB))
            except (BlockingIOError, PermissionError):
                waiter = _waiters[path] = _Waiter(path)
                waiter.start()
        waiter.listener = heard
    when_stopping(lambda: heard.put(None))
    word = heard.get()
    if word is None:
        with _mutex:
            waiter.listener = None
            late = None if heard.empty() else heard.get()
            if isinstance(late, int):
                _held.discard(path)
                os.close(late)
        return None
    if isinstance(word, OSError):
        raise word
    return word


def _hold(path: Path, descriptor: int) -> int:
    """Noted before anybody else may look: `is_taken`, in another thread, would open the file."""
    _held.add(path)
    return descriptor


class _Waiter(threading.Thread):
    """Blocks until the lock is free. Who stopped waiting leaves it behind; the next one in this
    process who wants the same lock listens to it."""

    def __init__(self, path: Path) -> None:
        super().__init__(name=f"turn {path.name}", daemon=True)
        self._path = path
        self.listener: SimpleQueue[_Word] | None = None

    def run(self) -> None:
        try:
            word: int | OSError = _lock(self._path, 0)
        except OSError as error:
            word = error
        with _mutex:
            del _waiters[self._path]
            if self.listener is not None:
                self.listener.put(word if isinstance(word, OSError) else _hold(self._path, word))
            elif isinstance(word, int):
                os.close(word)


def _lock(path: Path, flag: int) -> int:
    """A descriptor of the locked file that has the name ``path`` now."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | flag)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder was done with it and has removed it
