"""The near side of the process that keeps trackers up: started, woken, and waited for."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from sweep import fsio
from sweep.integration.note import Note, read_note
from sweep.integration.process import END
from sweep.paths import StudyPaths
from sweep.spec.tracker import Tracker

LOOK_S = 0.2
"""Who waits for trackers looks so often whether to hurry."""

HURRIED_WAIT_S = 3.0
"""How long one who was told to stop waits for them."""

REVIVED_AFTER_S = 60.0
"""A process that dies sooner than this is not started again before."""


class Relay:
    """Has trackers told what a study's journal says, from `start` to `finish`.

    None of it waits for a tracker but `finish`, and none of it raises: a tracker that cannot be had
    costs the run nothing.

    Attributes:
        trouble: what is wrong with the process itself, if something is.
    """

    def __init__(
        self,
        paths: StudyPaths,
        name: str,
        trackers: Sequence[Tracker],
        warn: Callable[[str], None],
    ) -> None:
        """Of the study called ``name``. ``warn`` is told, in a thread, of trackers that fail."""
        self.trouble: str | None = None
        self._paths, self._name, self._trackers, self._warn = paths, name, trackers, warn
        self._process: subprocess.Popen[bytes] | None = None
        self._listening: threading.Thread | None = None
        self._rung, self._began, self._closed = -1, 0.0, False

    def start(self) -> None:
        """Begin; the journal must be there."""
        trackers = json.dumps([tracker.model_dump(mode="json") for tracker in self._trackers])
        module = "sweep.integration.process"
        command = [sys.executable, "-m", module, str(self._paths.root), self._name]
        log = self._paths.trackers / "log"
        try:
            fsio.make_directory(self._paths.trackers)
            with log.open("wb" if self._process is None else "ab") as file:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=file,
                    start_new_session=True,  # a Ctrl-C in the terminal is for the driver alone
                )
        except OSError as error:
            self.trouble = f"trackers: their process cannot be started: {error}"
            return
        self._began = time.monotonic()
        self._send(trackers.encode() + b"\n")  # no argument: those are for all to see, a uri is not
        os.set_blocking(self._process.stdin.fileno(), False)  # type: ignore[union-attr]
        self._listening = threading.Thread(target=self._listen, name="trackers", daemon=True)
        self._listening.start()

    def notify(self, committed: int) -> None:
        """Events up to ``committed`` are durable."""
        if committed > self._rung:
            self._rung = committed
            self._revive()
            self._send(b"\n")

    def holds(self, seq: int) -> bool:
        """Whether all trackers have all up to the event ``seq``."""
        return all(note.seq >= seq for note in self.notes())

    def notes(self) -> list[Note]:
        """How far the trackers are."""
        return [read_note(self._paths, tracker.name) for tracker in self._trackers]

    def close(self, last: int) -> None:
        """No event will come after ``last``: let each tracker be sent what is left. Said once."""
        if not self._closed:
            self._closed = True
            self._send(b"%s %d\n" % (END, last))

    def finish(self, until: float, hurried: Callable[[], bool] = lambda: False) -> None:
        """Wait for that up to ``until`` on the monotonic clock, and end it with all it has started.

        From when on it is ``hurried``, that is `HURRIED_WAIT_S` at most.
        """
        if self._process is None:
            return
        hurry = math.inf
        while self._process.poll() is None and time.monotonic() < min(until, hurry):
            if hurry == math.inf and hurried():
                hurry = time.monotonic() + HURRIED_WAIT_S
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LOOK_S)
        code = self._process.poll() or 0  # None: it was given its time
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._listening is not None:
            self._listening.join(1.0)  # a server of a tracker's may hold the pipe open
        if code:
            self.trouble = f"trackers: their process failed; see {self._paths.trackers / 'log'}"
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        self._process = None

    def _revive(self) -> None:
        """Start the process again where it died, now and then."""
        process = self._process
        if process is not None and process.poll() is not None:
            if time.monotonic() < self._began + REVIVED_AFTER_S:
                return
            self._warn("trackers: their process died and is started again")
            for pipe in (process.stdin, process.stdout):
                pipe.close()  # type: ignore[union-attr]
            self.start()

    def _send(self, line: bytes) -> None:
        if self._process is not None:
            with suppress(OSError):  # it is gone; or has a full pipe of such lines to read
                os.write(self._process.stdin.fileno(), line)  # type: ignore[union-attr]

    def _listen(self) -> None:
        process = self._process
        if process is not None and process.stdout is not None:
            for line in process.stdout:
                self._warn(f"tracker {line.decode(errors='replace').rstrip()}")
