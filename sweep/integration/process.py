"""The process beside a driver that keeps its trackers up: ``python -m sweep.integration.process``.

It is a process of its own since the libraries of trackers start threads, servers and exit handlers
of theirs, print, and may hang; nothing of that can reach the run so. It reads the journal as any
reader does. The first line on its standard input has the trackers; another one says that there is
something new, ``end 86`` that nothing will come after event 86, and the end of the input that the
driver is gone: then it ends at once, with all that libraries have started, and whoever goes on with
the study goes on from the notes. What people should know goes to its standard output.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from sweep.integration.delivery import Delivery
from sweep.integration.tracker import Subject
from sweep.journal.excerpt import study_id
from sweep.journal.lock import Lock
from sweep.paths import StudyPaths
from sweep.spec.tracker import Tracker

INTERVAL_S = 1.0
"""A tracker is told at most once in this time."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
"""After a failure; each further one doubles it."""

END = b"end"
"""It is followed by the number of the newest event."""


class Bell:
    """Says to several threads that there is something new, and when there will be no more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rung = 0
        self._last: int | None = None

    def ring(self) -> None:
        with self._changed:
            self._rung += 1
            self._changed.notify_all()

    def close(self, last: int) -> None:
        """There will be no event after ``last``."""
        with self._changed:
            self._last = last
            self._changed.notify_all()

    def rest(self, seconds: float) -> None:
        """Wait so long, or until it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._last is not None, timeout=seconds)

    def heard(self, seen: int) -> tuple[int, int | None]:
        """Wait for more than the ``seen`` rings; how many there were, and the last event if it is
        closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._last is not None or self._rung > seen)
            return self._rung, self._last


def keep_up(delivery: Delivery, bell: Bell, say: int) -> None:
    """Send what comes until the bell is closed and all is sent, or one last attempt has failed."""
    seen, failures = -1, 0
    last: int | None = None
    # A list of files that was made during a compaction may lack the newest: one looks again.
    while last is None or (not failures and delivery.note.seq < last):
        if failures:
            bell.rest(min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S))
            seen = -1
        seen, last = bell.heard(seen)
        try:
            delivery.catch_up()
        except Exception as error:  # noqa: BLE001  noted, and tried again
            delivery.failed(error)
            if not failures:
                os.write(say, f"{delivery.note.where}: {delivery.note.reason}\n".encode())
            failures += 1
        else:
            failures = 0
            bell.rest(INTERVAL_S)


def serve(paths: StudyPaths, name: str, trackers: Sequence[Tracker], say: int) -> None:
    """Keep ``trackers`` up until the input ends. Does not return."""
    lock = Lock(paths.trackers_lock, wait=True)  # a predecessor may be about to see that it is over
    study, bell = Subject(name, paths, study_id(paths.journal)), Bell()
    threads = [
        threading.Thread(target=keep_up, args=(Delivery(tracker, study), bell, say), daemon=True)
        for tracker in trackers
    ]
    for thread in threads:
        thread.start()

    def leave() -> None:
        for thread in threads:
            thread.join()
        os._exit(0)

    for line in sys.stdin.buffer:
        if line.startswith(END):
            bell.close(int(line.removeprefix(END)))
            threading.Thread(target=leave, daemon=True).start()
        else:
            bell.ring()
    lock.check()
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    root, name = sys.argv[1:]
    written = sys.stdin.buffer.readline()
    say = os.dup(1)
    os.dup2(2, 1)  # what libraries print goes to the log
    trackers = [Tracker.model_validate(each) for each in json.loads(written)]
    serve(StudyPaths(Path(root)), name, trackers, say)


if __name__ == "__main__":
    main()
