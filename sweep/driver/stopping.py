"""What asks a driver to end: signals, and a file that another process leaves.

Of SIGINT and SIGTERM the first asks for an orderly end, the second ends the process at once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from sweep.paths import StudyPaths

SIGNALS = (signal.SIGINT, signal.SIGTERM)

STOP_INTERVAL_S = 0.2
"""The longest time between two looks for a stop request."""


class StopSignals:
    """Takes the signals over while it is entered.

    Attributes:
        received: the first signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._active = False
        self._noticed: list[Callable[[], None]] = []
        self._abort: list[Callable[[], None]] = []
        self._before: dict[signal.Signals, Any] = {}

    def on_first(self, call: Callable[[], None]) -> None:
        """Have ``call`` made from within the handler when the first signal comes."""
        self._noticed.append(call)

    def on_second(self, call: Callable[[], None]) -> None:
        """Have ``call`` made before the second one ends the process."""
        self._abort.append(call)

    def _forked(self) -> None:
        # A child of a trial's (a pool, a loader's worker) is ended by signals as any process is.
        if self._active:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def take(self) -> None:
        """Take the signals over (again: a library may have taken them in between)."""
        for number in SIGNALS:
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
        if self.received is not None:
            for call in self._abort:
                call()
            os._exit(128 + number)
        self.received = signal.Signals(number)
        for call in self._noticed:
            call()


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
