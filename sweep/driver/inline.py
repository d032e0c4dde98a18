"""The inline backend: trials run in this process and thread, one at a time, so that pdb works."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from sweep.driver.backend import Handler, Key
from sweep.driver.reaper import Reaper
from sweep.errors import SweepError
from sweep.spec import Resources
from sweep.trial.attempt import run_attempt
from sweep.trial.message import Assignment, Message, Verdict
from sweep.trial.program import load_program


class _InlineLink:
    """Hands messages straight to the driver, which answers before `send` returns.

    The driver is called in the trial's own thread only: what the thread that saves has to say
    waits for the trial's next message or safe point.
    """

    def __init__(self, deliver: Callable[[Message], None]) -> None:
        self._deliver = deliver
        self._thread = threading.get_ident()
        self._waiting: deque[Message] = deque()
        self._stopping = False
        self._wait_over: Callable[[], None] | None = None
        self.answer = Verdict.CONTINUE
        self.failure: BaseException | None = None

    def send(self, message: Message) -> None:
        self._waiting.append(message)
        self._drain()

    def verdict(self) -> Verdict:
        return self.answer  # a stop must not hide it; the trial sees that at its next safe point

    @property
    def stopping(self) -> bool:
        self._drain()
        return self._stopping

    def when_stopping(self, call: Callable[[], None]) -> None:
        self._wait_over = call
        if self._stopping:
            call()

    def stop(self) -> None:
        self._stopping = True
        if self._wait_over is not None:
            self._wait_over()

    def _drain(self) -> None:
        if threading.get_ident() != self._thread:
            return
        while self._waiting and self.failure is None:
            try:
                self._deliver(self._waiting.popleft())
            except BaseException as error:  # noqa: BLE001  the driver's, which is not the trial's
                self.failure = error
                self._stopping = True


class InlineBackend:
    name = "inline"

    def __init__(self) -> None:
        self._pending: Assignment | None = None
        self._link: _InlineLink | None = None
        self._reaper: Reaper | None = None
        self.fault: SweepError | None = None

    def open(self) -> None:
        self._reaper = Reaper()

    def prepare(self, program: str, project: str, resources: Resources, count: int) -> None:
        load_program(program, project)

    def slots(self, resources: Resources) -> int:
        return 1

    def room(self, resources: Resources, project: str) -> bool:
        return self._pending is None and self._link is None

    def shortage(self, resources: Resources) -> str | None:
        return None

    def dispatch(self, assignment: Assignment, resources: Resources) -> None:
        self._pending = assignment

    def poll(self, timeout: float, handle: Handler) -> None:
        """Run the dispatched trial to its end; the driver is called from within it."""
        assignment, self._pending = self._pending, None
        if assignment is None:
            return
        key = Key.of(assignment)
        self._link = link = _InlineLink(lambda message: handle(key, message))
        try:
            run_attempt(assignment, link)
        finally:
            self._link = None
        if link.failure is not None:
            raise link.failure

    def command(self, key: Key, verdict: Verdict) -> None:
        if self._link is None:
            return
        if verdict is Verdict.STOP:
            self._link.stop()
        else:
            self._link.answer = verdict

    def interrupt(self) -> None:
        if self._link is not None:
            self._link.stop()

    def kill(self, key: Key) -> None:
        """A trial in this thread can only be asked: it leaves at its next safe point."""
        self._pending = None
        self.interrupt()

    def close(self) -> None:
        if self._reaper is not None:
            self._reaper.close()
