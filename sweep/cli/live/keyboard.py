"""Keys of a terminal, as they are struck, and signals that ask to leave."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from types import FrameType, TracebackType
from typing import Any, Self

LEAVING = (signal.SIGINT, signal.SIGTERM)


class Keyboard:
    """The standard input, a key at a time and unseen; as it was again at the end.

    Where that is no terminal there are no keys, only time. Signals end a wait, and are not raised:
    an exception that comes anywhere can get lost in a destructor, and the command would go on.

    Attributes:
        signal: the number of the one that has asked to leave, if one has.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        self._woken, self._bell = os.pipe()
        os.set_blocking(self._bell, False)
        self._older = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, self._leave) for number in LEAVING}
        if sys.stdin.isatty():
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)  # Ctrl-C stays a signal
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._older)
        os.close(self._woken)
        os.close(self._bell)

    def wait(self, seconds: float) -> str:
        """The keys struck within ``seconds``, as soon as there is one; a signal ends it, too."""
        typed = [] if self._before is None else [sys.stdin.fileno()]
        ready, _, _ = select.select([self._woken, *typed], [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, 1024)
        struck = b"".join(os.read(file, 1024) for file in typed if file in ready)
        return struck.decode(errors="replace")

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
