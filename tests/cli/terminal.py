"""A terminal of a given size, in which a command runs."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Terminal:
    """What a command writes on a terminal, as it is written, and the way to type there."""

    def __init__(self, root: Path, *arguments: str | Path, columns: int = 80, rows: int = 24):
        self._master, self._slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self._slave)
        fixed = {"COLUMNS", "LINES"}  # these would count for more than the terminal's own size
        inherited = {name: value for name, value in os.environ.items() if name not in fixed}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sweep", *map(str, arguments)],
            cwd=root,
            env=inherited | {"TERM": "xterm-256color", "NO_COLOR": "1"},
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            preexec_fn=self._control,
        )
        self._written: list[bytes] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _control(self) -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C is a signal

    def _read(self) -> None:
        while True:
            try:
                self._written.append(os.read(self._master, 65536))
            except OSError:  # all that had it open have ended
                return

    @property
    def text(self) -> str:
        """All that was written so far, the cursor's movements included."""
        return b"".join(self._written).decode(errors="replace")

    @property
    def modes(self) -> object:
        """How the terminal treats what is typed."""
        return termios.tcgetattr(self._slave)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._slave)
        self._thread.join(10)
        os.close(self._master)


@contextmanager
def terminal(root: Path, *arguments: str | Path, **size: int) -> Iterator[Terminal]:
    """`sweep` on a terminal; it is killed at the end if it still runs."""
    made = Terminal(root, *arguments, **size)
    try:
        yield made
    finally:
        made.close()
