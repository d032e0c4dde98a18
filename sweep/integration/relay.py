"""The near side of the process that keeps trackers up: started, woken, and waited for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from sweep import fsio
from sweep.integration.note import Note, read_note
from sweep.integration.process import END
from sweep.paths import StudyPaths
from sweep.spec.tracker import Tracker


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
        self._rung = -1

    def start(self) -> None:
        """Begin; the journal must be there."""
        trackers = json.dumps([tracker.model_dump(mode="json") for tracker in self._trackers])
        module = "sweep.integration.process"
        command = [sys.executable, "-m", module, str(self._paths.root), self._name, trackers]
        log = self._paths.trackers / "log"
        try:
            fsio.make_directory(self._paths.trackers)
            with log.open("wb") as file:
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
        os.set_blocking(self._process.stdin.fileno(), False)  # type: ignore[union-attr]
        self._listening = threading.Thread(target=self._listen, name="trackers", daemon=True)
        self._listening.start()

    def notify(self, committed: int) -> None:
        """Events up to ``committed`` are durable."""
        if committed > self._rung:
            self._rung = committed
            self._send(b"\n")

    def holds(self, seq: int) -> bool:
        """Whether all trackers have all up to the event ``seq``."""
        return all(note.seq >= seq for note in self.notes())

    def notes(self) -> list[Note]:
        """How far the trackers are."""
        return [read_note(self._paths, tracker.name) for tracker in self._trackers]

    def close(self, last: int) -> None:
        """No event will come after ``last``: let each tracker be sent what is left."""
        self._send(b"%s %d\n" % (END, last))

    def finish(self, wait: float | None) -> None:
        """Wait up to ``wait`` seconds (None: as long as it takes) for that, and end it."""
        if self._process is None:
            return
        try:
            code = self._process.wait(wait)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait() and 0
        if self._listening is not None:
            self._listening.join(1.0)  # a server of a tracker's may hold the pipe open
        if code:
            self.trouble = f"trackers: their process failed; see {self._paths.trackers / 'log'}"
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        self._process = None

    def _send(self, line: bytes) -> None:
        if self._process is not None:
            with suppress(OSError):  # it is gone; or has a full pipe of such lines to read
                os.write(self._process.stdin.fileno(), line)  # type: ignore[union-attr]

    def _listen(self) -> None:
        process = self._process
        if process is not None and process.stdout is not None:
            for line in process.stdout:
                self._warn(f"tracker {line.decode(errors='replace').rstrip()}")
