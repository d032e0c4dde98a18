"""What trials print, in files of bounded size: the first and the last of it are kept.

A trial's standard output and error are a pipe, so that whatever it has forked or loaded writes
there as well. A process of its own reads it, so that C code which keeps Python's lock may print as
much as it likes. Run as a script, with the standard library alone: ``scribe.py``, with a
socket as standard input, over which it is sent (with a limit in bytes) a pipe and a file at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import subprocess
import sys
import termios
from pathlib import Path

_CHUNK = 1 << 16
_PIPE = 1 << 20
"""What a trial can print before it has to wait for the disk, where the system allows so much."""

_SYNC = b"sync"
_NOTE = "\n[... {:>15,} bytes left out ...]\n"
_NOTE_LENGTH = len(_NOTE.format(0))
_MOST = 999_999_999_999


class Scribe:
    """A handle on the process that writes; of one thread."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # Nobody's child: Ray ends those of a worker that it ends, with what is in the pipe.
            subprocess.run([sys.executable, "-ESs", __file__], stdin=theirs.fileno(), check=False)
        self._socket = ours
        self._file = -1

    def begin(self, path: Path, limit: int) -> int:
        """The end of a pipe to write to, from where it goes to the end of the file ``path``.

        Raises:
            OSError: the file cannot be opened, or the process is gone.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        read, write = os.pipe()
        try:
            with contextlib.suppress(OSError):
                fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE)
            socket.send_fds(self._socket, [str(limit).encode()], [read, self._file])
        except OSError:
            os.close(write)
            self._close()
            raise
        finally:
            os.close(read)
        return write

    def end(self, pipe: int) -> None:
        """Return when what was written to ``pipe``, an end that `begin` has given, is in the file.

        What children of the trial write later follows it.

        Raises:
            OSError: the process is gone, with what it had not written.
        """
        waiting = int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
        silent = not waiting and not os.fstat(self._file).st_size
        os.close(pipe)
        self._close()
        if not silent:
            self._socket.send(_SYNC)
            self._socket.recv(len(_SYNC))

    def close(self) -> None:
        """Let the process end, once all pipes have."""
        self._socket.close()

    def _close(self) -> None:
        os.close(self._file)
        self._file = -1


class Log:
    """A file that holds the first and the last of what was written to it.

    Its first quarter stays as it is. Once it is full, what follows is cut to its last half of what
    is left, behind a line that says how much is missing. So each byte is written twice at most.
    """

    def __init__(self, file: int, limit: int) -> None:
        self._file, self._limit = file, limit
        self._head = limit // 4
        self._tail = max(1, (limit - self._head - _NOTE_LENGTH) // 2)

    def write(self, data: bytes) -> None:
        """Append ``data``.

        Raises:
            OSError: as the system says.
        """
        fcntl.flock(self._file, fcntl.LOCK_EX)  # a child of an older attempt may print, too
        try:
            size = os.lseek(self._file, 0, os.SEEK_END)
            room = self._limit - size
            if len(data) <= room:
                _write(self._file, data, size)
            elif size < self._head:
                first = self._head - size
                _write(self._file, data[:first], size)
                self._cut(self._head, data[first:])
            else:
                self._cut(size, data)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _cut(self, size: int, data: bytes) -> None:
        note = os.pread(self._file, _NOTE_LENGTH, self._head)
        missing = _missing(note)
        body = self._head if missing is None else self._head + _NOTE_LENGTH
        from_file = max(0, self._tail - len(data))
        start = max(body, size - from_file)
        kept = (os.pread(self._file, size - start, start) + data)[-self._tail :]
        missing = min(_MOST, (missing or 0) + (size - body) + len(data) - len(kept))
        _write(self._file, _NOTE.format(missing).encode() + kept, self._head)
        os.ftruncate(self._file, self._head + _NOTE_LENGTH + len(kept))


def _missing(note: bytes) -> int | None:
    """How many bytes the line says are left out; None where it is no such line."""
    digits = note[6:-21].replace(b",", b"").strip()
    if not digits.isdigit() or _NOTE.format(int(digits)).encode() != note:
        return None
    return int(digits)


def _write(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written


def serve(control: socket.socket) -> None:
    """Write what comes until the worker is gone and all pipes have ended."""
    logs: dict[int, Log] = {}
    files: dict[int, int] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)

    def read(pipe: int) -> bool:
        """Take a piece from ``pipe``; False where there is none now, or none will come."""
        try:
            data = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            poll.unregister(pipe)
            os.close(pipe)
            os.close(files.pop(pipe))
            del logs[pipe]
            return False
        with contextlib.suppress(OSError):  # a full disk: the trial itself is to go on
            logs[pipe].write(data)
        return True

    open_ = True
    while open_ or logs:
        for ready, _ in poll.poll():
            if ready in logs:
                read(ready)
                continue
            message, fds, _, _ = socket.recv_fds(control, 64, 2)
            if fds:
                pipe, files[fds[0]] = fds
                os.set_blocking(pipe, False)
                logs[pipe] = Log(files[pipe], int(message))
                poll.register(pipe, select.POLLIN)
            elif message:
                for pipe in list(logs):
                    # A child that goes on printing must not hold up the next trial.
                    any(not read(pipe) for _ in range(4 * _PIPE // _CHUNK))
                with contextlib.suppress(OSError):
                    control.send(_SYNC)
            else:
                open_ = False
                poll.unregister(control)
                control.close()
            break  # what was ready may be closed by now


if __name__ == "__main__":
    if not os.fork():
        os.setsid()
        serve(socket.socket(fileno=0))
