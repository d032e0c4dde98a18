"""Attempts of a study whose worker, node or server died: how long their trials rest, and when the
study must halt."""

from __future__ import annotations

import logging
import time

from sweep.driver.delay import SHORT, waits
from sweep.driver.logbook import Logbook
from sweep.driver.plan import Limits, pause_s, stuck
from sweep.driver.waiting import WaitingNote
from sweep.errors import BackendError
from sweep.journal.event import AttemptInterrupted
from sweep.journal.state import Trial
from sweep.paths import StudyPaths
from sweep.spec import StudySpec

_log = logging.getLogger("sweep")


class Interruptions:
    """Those of one study, in this session."""

    def __init__(self, paths: StudyPaths, spec: StudySpec, book: Logbook) -> None:
        self._spec, self._logbook = spec, book
        self._waiting = WaitingNote(paths)
        self._since: dict[int, float] = {}

    def record(self, trial: Trial, reason: str, detail: str) -> None:
        """What an attempt ran on has died: that is no failure of its trial, which rests now."""
        self._since[trial.number] = time.monotonic()
        self._logbook.record(
            AttemptInterrupted(
                trial=trial.number, attempt=trial.attempts, reason=reason, error=detail
            )
        )

    def over(self, number: int) -> None:
        """A trial is tried again."""
        self._since.pop(number, None)

    @property
    def resting(self) -> set[int]:
        """Trials that are not tried again yet."""
        now, trials = time.monotonic(), self._logbook.state.trials
        return {
            number
            for number, since in self._since.items()
            if now < since + pause_s(trials[number].setbacks)
        }

    def say_waits(self, limits: Limits, shortage: str | None) -> None:
        """Tell what the study waits for; ``shortage`` is what the backend lacks, if it does."""
        lines = waits(self._logbook.state, limits, self._spec.resources, self.resting, shortage)
        for line in self._waiting.say(lines):
            if line.startswith(SHORT):  # what rests was said with its interruption
                _log.warning("%s: %s", self._spec.name, line)

    def end(self) -> None:
        """Nothing waits any more."""
        self._waiting.say([])

    def error(self, limits: Limits) -> BackendError | None:
        """Why the study must halt, where nothing but interruptions happens."""
        number = stuck(self._logbook.state, limits)
        if number is None:
            return None
        trial = self._logbook.state.trials[number]
        return BackendError(
            f"{self._spec.name}: nothing but interruptions happens: trial {number} was interrupted "
            f"{trial.setbacks} times in a row: {trial.interrupted[-1].reason}; see to what it runs "
            "on (memory, nodes), then resume"
        )
