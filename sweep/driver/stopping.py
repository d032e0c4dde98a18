"""What asks a driver to end: signals, and a file that another process leaves.

The first of `SIGNALS` asks for an orderly end. A second SIGINT or SIGTERM ends the process at once;
the others are announcements of batch systems and of terminals that close, and may come repeatedly.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from sweep.paths import StudyPaths

HANGUPS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""These end a process that does not expect them, and often go to a whole group of processes."""

DEMANDS = (signal.SIGINT, signal.SIGTERM)
"""Of these a second one is meant."""

SIGNALS = (*DEMANDS, *HANGUPS)

STOP_INTERVAL_S = 0.2
"""The longest time between two looks for a stop request."""


class StopSignals:
    """Takes the signals over while it is entered.

    Attributes:
        received: the first signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._active = self._demanded = False
        self._noticed: list[Callable[[], None]] = []
        self._abort: list[Callable[[], None]] = []
        self._before: dict[signal.Signals, Any] = {}

    def on_first(self, call: Callable[[], None]) -> None:
        """Have ``call`` made from within the handler when the first signal comes."""
        self._noticed.append(call)

    def on_second(self, call: Callable[[], None]) -> None:
        """Have ``call`` made before a second one ends the process."""
        self._abort.append(call)

    def _forked(self) -> None:
        # A child of a trial's (a pool, a loader's worker) is ended by signals as any process is.
        if self._active:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for number in HANGUPS:  # sent to the group: the trial is to save first
                signal.signal(number, signal.SIG_IGN)

    def take(self) -> None:
        """Take the signals over (again: a library may have taken them in between).

        Those of `HANGUPS` that this process was started to ignore (by nohup, say) it ignores.
        """
        for number in SIGNALS:
            if number in HANGUPS and signal.getsignal(number) is signal.SIG_IGN:
                continue
            before = signal.signal(number, self._handle)
            self._before.setdefault(number, before)

    def __enter__(self) -> Self:
        self._active = True
        os.register_at_fork(after_in_child=self._forked)
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._active = False
        for number, before in self._before.items():
            signal.signal(number, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _leave_terminal()
        demand = number in DEMANDS
        if demand and self._demanded:
            for call in self._abort:
                call()
            os._exit(128 + number)
        self._demanded |= demand
        if self.received is not None:
            return
        self.received = signal.Signals(number)
        for call in self._noticed:
            call()


def _leave_terminal() -> None:
    """Write nowhere where the terminal is gone: each line would be an error."""
    for descriptor in (0, 1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] != errno.EIO:  # no terminal: a file, say
                continue
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


@contextmanager
def shielding() -> Iterator[None]:
    """Processes that are started in the block do not end by `HANGUPS`, nor do their children.

    Where such a signal goes to the whole group, trials can save only as long as Ray's servers live.
    One that comes to this process meanwhile is handled after the block.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANGUPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unshield() -> None:
    """In a process that was started so: ignore the signals instead of blocking them, so that a
    program that handles one gets it. Of the calling thread, and from any thread."""
    for number in HANGUPS:
        ctypes.CDLL(None).signal(int(number), 1)  # SIG_IGN; Python allows the main thread alone
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANGUPS)


class StopRequest:
    """Looks whether another process has asked a study to end."""

    def __init__(self, paths: StudyPaths) -> None:
        self._path = paths.stop
        self._due = 0.0

    def seen(self) -> bool:
        """True where it has; looked at a few times a second at most."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + STOP_INTERVAL_S
        return self._path.exists()
