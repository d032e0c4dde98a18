"""The best report of each trial, as retention asks for it."""

from __future__ import annotations

from collections.abc import Mapping

from sweep.checkpoint.policy import improves
from sweep.journal.event import TrialReported
from sweep.journal.state import Trial


class Leaders:
    """Knows the best report of those trials that were asked for, and follows it from there.

    So a trial of very many reports is looked through once, not at each of its saves.
    """

    def __init__(self, trials: Mapping[int, Trial], metric: str, maximize: bool) -> None:
        """Of ``metric`` in the reports of ``trials``, which the journal keeps up to date."""
        self._trials, self._metric, self._maximize = trials, metric, maximize
        self._known: dict[int, tuple[int, float] | None] = {}

    def step(self, trial: int) -> int | None:
        """The step of the best report, of equals the first; None where none has the metric."""
        if trial not in self._known:
            self._known[trial] = self._trials[trial].best_report(self._metric, self._maximize)
        best = self._known[trial]
        return None if best is None else best[0]

    def follow(self, event: TrialReported) -> None:
        """Take note of a report."""
        if event.trial not in self._known or self._metric not in event.metrics:
            return
        best, value = self._known[event.trial], event.metrics[self._metric]
        if best is not None and best[0] == event.step:  # what was best is replaced
            self.forget(event.trial)
        elif improves(value, None if best is None else best[1], maximize=self._maximize):
            self._known[event.trial] = event.step, value

    def forget(self, trial: int) -> None:
        """Reports of ``trial`` were taken back."""
        self._known.pop(trial, None)
