"""What runs in a worker process: it takes assignments one after another and hands messages back.

The class is plain Python; `sweep.driver.cluster` makes a Ray actor of it. Trials run in one thread
of their own while Ray's threads carry messages, so a trial that computes for an hour still hears
that it shall stop at its next safe point.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from sweep.driver.backend import Key
from sweep.driver.reaper import Reaper
from sweep.driver.scribe import Scribe
from sweep.driver.stopping import unshield
from sweep.trial.attempt import run_attempt
from sweep.trial.message import Assignment, Ended, Message, Verdict
from sweep.trial.outcome import Outcome
from sweep.trial.program import load_program
from sweep.trial.wear import Wear

Delivery = tuple[Key, Message]
Order = Assignment | tuple[Key, Verdict]


def pack(content: Sequence[Order] | Sequence[Delivery]) -> bytes:
    """Orders or deliveries, as `unpack` gives them back."""
    return pickle.dumps(content, pickle.HIGHEST_PROTOCOL)


unpack = pickle.loads


class Worker:
    """Runs attempts. Its methods are called from several threads at a time."""

    CONCURRENT_CALLS = 3
    """`exchange` waits for messages while `submit` and `check` are called."""

    def __init__(self, *, die_with_parent: bool) -> None:
        """``die_with_parent``: the parent, Ray's local server, dies with the driver. The worker
        then goes at once, instead of training on until it notices.
        """
        if die_with_parent:
            _die_with_parent()
        else:
            self._reaper = Reaper(detached=True)  # the driver is on another machine, perhaps
        self._outbox: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._link: _WorkerLink | None = None
        self._output, self._wear = _Output(), Wear()
        threading.Thread(target=self._run, name="trial", daemon=True).start()

    def check(self, program: str, project: str) -> str | None:
        """Import ``program`` where trials will run. What is wrong with it, or None.

        An empty ``project``, here and in assignments, is the worker's own directory, where Ray has
        put its copy.
        """
        answer: Future[str | None] = Future()

        def work() -> None:
            try:
                load_program(program, project or str(Path.cwd()))
                answer.set_result(None)
            except BaseException as error:  # noqa: BLE001  importing may do anything
                answer.set_result(str(error) or type(error).__name__)

        self._work.put(work)
        return answer.result()

    def submit(self, orders: bytes) -> None:
        """Begin an attempt, or pass the driver's word to the one that runs.

        Orders and messages travel as bytes, which cost Ray the least; see `pack`.
        """
        for order in unpack(orders):
            if isinstance(order, Assignment):
                self._begin(order)
            elif self._link is not None and self._link.key == order[0]:
                self._link.hear(order[1])

    def exchange(self, orders: bytes) -> bytes:
        """Take ``orders``, and return what attempts have said, once they have said something."""
        self.submit(orders)
        batch = [self._outbox.get()]
        while not self._outbox.empty():
            batch.append(self._outbox.get())
        return pack(batch)

    def _begin(self, assignment: Assignment) -> None:
        if not assignment.project:
            assignment = replace(assignment, project=str(Path.cwd()))
        self._link = link = _WorkerLink(Key.of(assignment), self._outbox.put)
        self._work.put(lambda: self._execute(assignment, link))

    def _execute(self, assignment: Assignment, link: _WorkerLink) -> None:
        """Run an attempt; whatever goes wrong, its last word is sent."""
        try:
            with self._output.to(log_path(assignment), assignment.log_bytes):
                run_attempt(assignment, link)
        except BaseException as error:  # noqa: BLE001  a KeyboardInterrupt of user code, say
            if link.ended is None:
                reason = f"{type(error).__name__}: {error}"
                text = traceback.format_exc()
                link.send(Ended(outcome=Outcome.FAILED, error=text, reason=reason))
        link.close(worn=self._wear.another(assignment.endurance))

    def _run(self) -> None:
        unshield()
        self._output.begin()
        while True:
            self._work.get()()


class _WorkerLink:
    def __init__(self, key: Key, send: Callable[[Delivery], None]) -> None:
        self.key = key
        self.stopping = False
        self.ended: Ended | None = None
        self._send = send
        self._verdicts: queue.SimpleQueue[Verdict] = queue.SimpleQueue()
        self._waiting: Callable[[], None] | None = None

    def send(self, message: Message) -> None:
        if isinstance(message, Ended):
            self.ended = message
        else:
            self._send((self.key, message))

    def close(self, *, worn: bool) -> None:
        """Send the last word, now that nothing of the attempt is left in this process."""
        if self.ended is not None:
            self._send((self.key, replace(self.ended, worn=worn)))

    def verdict(self) -> Verdict:
        return self._verdicts.get()

    def when_stopping(self, call: Callable[[], None]) -> None:
        self._waiting = call  # before the look: a stop in between calls twice, never not at all
        if self.stopping:
            call()

    def hear(self, verdict: Verdict) -> None:
        if verdict is Verdict.STOP:
            self.stopping = True
            if self._waiting is not None:
                self._waiting()
        else:
            self._verdicts.put(verdict)


def log_path(assignment: Assignment) -> Path:
    """Where the standard output and error of a trial go, all attempts one after another."""
    return Path(assignment.root) / "logs" / f"{assignment.trial:05d}.log"


class _Output:
    """Sends what the process prints, C code included, to a file for the time of an attempt."""

    def __init__(self) -> None:
        self._scribe: Scribe | None = None

    def begin(self) -> None:
        """Make ready, if that has to be done."""
        if self._scribe is None:
            self._scribe = Scribe()

    @contextmanager
    def to(self, path: Path, limit: int) -> Iterator[None]:
        """What is printed in the block is in ``path`` after it, see `sweep.driver.scribe`."""
        _flush()
        scribe = self._scribe = self._scribe or Scribe()
        try:
            pipe = scribe.begin(path, limit)
        except OSError:  # then it goes where the worker's own output goes
            self._scribe = None
            yield
            return
        saved = [os.dup(1), os.dup(2)]
        for number in (1, 2):
            os.dup2(pipe, number)
        try:
            yield
        finally:
            _flush()
            for number, before in zip((1, 2), saved, strict=True):
                os.dup2(before, number)
                os.close(before)
            try:
                scribe.end(pipe)
            except OSError:  # it was killed: the next attempt has another
                self._scribe = None


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies: prctl(2), PR_SET_PDEATHSIG."""
    ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGKILL))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a full disk; a stream that the trial has closed
            stream.flush()
