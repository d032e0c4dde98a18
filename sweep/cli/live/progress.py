"""What the view remembers of a study, so that a picture costs no more after many trials."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.driver.plan import Limits, elapsed
from sweep.journal.event import (
    AttemptFailed,
    AttemptInterrupted,
    DriverStarted,
    Entry,
    TrialFinished,
    TrialPaused,
    TrialPromoted,
    TrialRetried,
    TrialState,
)
from sweep.journal.state import StudyState, Trial

KEPT = 32
"""So many different reasons of failures are told apart at a time."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The newest attempt that failed for a reason, and how many did in this session."""

    trial: int
    attempt: int
    time: float
    reason: str
    count: int


class Progress:
    """Sums over the trials of one study, kept up to date by its entries.

    Attributes:
        steps: the most that a complete trial has had, None where none is complete or reported.
    """

    def __init__(self, state: StudyState) -> None:
        """Of a study that has come to ``state``: the one time that all trials are gone through."""
        self.steps: int | None = None
        self._settled: dict[int, float] = {}
        self._reports: dict[int, int] = {}
        self._reported = 0
        self._settled_s = 0.0
        self._failures: dict[str, Failure] = {}
        for trial in state.trials.values():
            self._see(trial)

    @property
    def mean_s(self) -> float | None:
        """Mean seconds on a slot of trials that are finished or paused here."""
        return self._settled_s / len(self._settled) if self._settled else None

    @property
    def pace_s(self) -> float | None:
        """Mean seconds for a report of those trials; None where they made none."""
        return self._settled_s / self._reported if self._reported else None

    @property
    def failures(self) -> list[Failure]:
        """Attempts that failed in this session, one for each reason, the newest first."""
        return list(reversed(self._failures.values()))

    def follow(self, state: StudyState, entry: Entry) -> None:
        """Take in an entry that is in ``state``, which may be ahead of it."""
        match entry.event:
            case TrialFinished(trial=number) | TrialPaused(trial=number):
                self._see(state.trials[number])
            case TrialPromoted(trial=number) | TrialRetried(trial=number):
                self._see(state.trials[number])
            case AttemptFailed() | AttemptInterrupted():
                self._failed(entry.event, entry.time)
            case DriverStarted():
                self._failures.clear()

    def _see(self, trial: Trial) -> None:
        if trial.imported is not None:
            return  # it took its time elsewhere
        self._settled_s -= self._settled.pop(trial.number, 0.0)
        self._reported -= self._reports.pop(trial.number, 0)
        if trial.finished is not None or trial.state is TrialState.PAUSED:
            self._settled[trial.number] = trial.duration
            self._settled_s += trial.duration
            self._reports[trial.number] = len(trial.reports)
            self._reported += len(trial.reports)
        if trial.state is TrialState.COMPLETE and trial.step is not None:
            self.steps = max(self.steps or 0, trial.step + 1)

    def _failed(self, event: AttemptFailed | AttemptInterrupted, time: float) -> None:
        before = self._failures.pop(event.reason, None)
        count = 1 if before is None else before.count + 1
        failure = Failure(event.trial, event.attempt, time, event.reason, count)
        self._failures[event.reason] = failure
        if len(self._failures) > KEPT:
            del self._failures[next(iter(self._failures))]


def time_left(state: StudyState, limits: Limits, progress: Progress, now: float) -> float | None:
    """Seconds until the study is complete, if trials go on taking what they took so far.

    Paused trials count as done: most of them stay so, and what a promotion costs is in the mean.
    None where nothing is executed, or nothing is known yet.
    """
    mean = progress.mean_s
    executing = [trial for trial in state.running.values() if trial.executing]
    if mean is None or not executing:
        return None
    total = max(limits.total, state.asked) + state.forks
    left = total - state.finished - len(state.paused)
    spent = [trial.duration + now - (trial.dispatched or now) for trial in executing]
    work = left * mean - sum(min(mean, each) for each in spent)
    known = None if state.session is None else state.session.slots
    slots = max(len(executing), min(known or 0, left))
    seconds = max(0.0, work / slots, mean - min(spent))
    if limits.timeout is not None:
        seconds = min(seconds, max(0.0, limits.timeout - elapsed(state, now)))
    return seconds
