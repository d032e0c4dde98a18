"""What runs in a worker process: it takes assignments one after another and streams messages back.

The class is plain Python; `sweep.driver.cluster` makes a Ray actor of it. Trials run in one thread
of their own while the actor's event loop carries messages, so a trial that computes for an hour
still hears that it shall stop at its next safe point.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from sweep.driver.backend import Key
from sweep.errors import ProgramError
from sweep.trial.attempt import run_attempt
from sweep.trial.message import Assignment, Ended, Message, Verdict
from sweep.trial.outcome import Outcome
from sweep.trial.program import load_program

Delivery = tuple[Key, Message]


class Worker:
    """Runs attempts. Methods are coroutines so that Ray makes the actor an asynchronous one."""

    def __init__(self, *, die_with_parent: bool) -> None:
        """``die_with_parent``: the parent, Ray's local server, dies with the driver. The worker
        then goes at once, instead of training on until it notices.
        """
        if die_with_parent:
            _die_with_parent()
        self._loop = asyncio.get_event_loop()
        self._outbox: asyncio.Queue[Delivery] = asyncio.Queue()
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._link: _WorkerLink | None = None
        threading.Thread(target=self._run, name="trial", daemon=True).start()

    async def describe(self) -> tuple[str, int]:
        """Host name and process id."""
        return socket.gethostname(), os.getpid()

    async def check(self, program: str, project: str) -> str | None:
        """Import ``program`` where trials will run. What is wrong with it, or None.

        An empty ``project``, here and in assignments, is the worker's own directory, where Ray has
        put its copy.
        """
        answer: asyncio.Future[str | None] = self._loop.create_future()

        def work() -> None:
            try:
                load_program(program, project or str(Path.cwd()))
                found = None
            except ProgramError as error:
                found = str(error)
            self._loop.call_soon_threadsafe(answer.set_result, found)

        self._work.put(work)
        return await answer

    async def dispatch(self, assignment: Assignment) -> None:
        """Begin an attempt; what it says comes out of `stream`."""
        assignment = replace(assignment, project=assignment.project or str(Path.cwd()))
        self._link = link = _WorkerLink(Key.of(assignment), self._send)
        self._work.put(lambda: _execute(assignment, link))

    async def command(self, key: Key, verdict: Verdict) -> None:
        """Pass the driver's word to the attempt, if it is still the one that runs."""
        if self._link is not None and self._link.key == key:
            self._link.hear(verdict)

    async def stream(self) -> AsyncIterator[list[Delivery]]:
        """All messages of all attempts, in batches, for as long as the worker lives."""
        while True:
            batch = [await self._outbox.get()]
            while not self._outbox.empty():
                batch.append(self._outbox.get_nowait())
            yield batch

    def _send(self, delivery: Delivery) -> None:
        self._loop.call_soon_threadsafe(self._outbox.put_nowait, delivery)

    def _run(self) -> None:
        while True:
            self._work.get()()


class _WorkerLink:
    def __init__(self, key: Key, send: Callable[[Delivery], None]) -> None:
        self.key = key
        self.stopping = False
        self._send = send
        self._verdicts: queue.SimpleQueue[Verdict] = queue.SimpleQueue()

    def send(self, message: Message) -> None:
        self._send((self.key, message))

    def verdict(self) -> Verdict:
        return self._verdicts.get()

    def hear(self, verdict: Verdict) -> None:
        if verdict is Verdict.STOP:
            self.stopping = True
        else:
            self._verdicts.put(verdict)


def _execute(assignment: Assignment, link: _WorkerLink) -> None:
    with _output_to(log_path(assignment)):
        try:
            run_attempt(assignment, link)
        except BaseException as error:  # noqa: BLE001  a KeyboardInterrupt of user code, say
            reason = f"{type(error).__name__}: {error}"
            text = traceback.format_exc()
            link.send(Ended(outcome=Outcome.FAILED, error=text, reason=reason))


def log_path(assignment: Assignment) -> Path:
    """Where the standard output and error of a trial go, all attempts one after another."""
    return Path(assignment.root) / "logs" / f"{assignment.trial:05d}.log"


class _output_to:  # noqa: N801  reads as a function
    """Sends what the process prints, C code included, to a file for the time of an attempt."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved: list[int] = []

    def __enter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        _flush()
        self._saved = [os.dup(1), os.dup(2)]
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.close(file)

    def __exit__(self, *_: object) -> None:
        _flush()
        for number, saved in zip((1, 2), self._saved, strict=True):
            os.dup2(saved, number)
            os.close(saved)


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies: prctl(2), PR_SET_PDEATHSIG."""
    ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGKILL))


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
