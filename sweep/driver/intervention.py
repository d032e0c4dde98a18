"""What users want of single trials: that they run again, or end where they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sweep.driver.archive import Archive
from sweep.driver.inbox import Inbox, RetryTrials, StopTrial, Wish
from sweep.driver.logbook import Logbook
from sweep.driver.retrying import DISCARDED, Retry, retries
from sweep.errors import StudyNotFoundError, UsageError
from sweep.journal.event import AttemptStopped, TrialRetried, TrialState, TrialStopped
from sweep.journal.state import StudyState, Trial
from sweep.paths import StudyPaths
from sweep.quantity import counted


class Intervention:
    """Carries out what users want, whether they ask this process or leave a request."""

    def __init__(
        self,
        paths: StudyPaths,
        logbook: Logbook,
        archive: Archive,
        conclude: Callable[[int, TrialState], None],
    ) -> None:
        """In the study whose events ``logbook`` records; ``conclude`` finishes one of its trials
        that is not executed."""
        self._name, self._logbook, self._archive = paths.name, logbook, archive
        self._conclude = conclude
        self._inbox = Inbox(paths)

    def serve(self) -> None:
        """Carry out what other processes ask for.

        Raises:
            StoreError: the journal cannot be written.
            ProgramError: the sampler fails on a result.
        """
        self._inbox.serve(self._carry_out, lambda: self._logbook.state.seq)

    def settle(self, committed: int) -> None:
        """Answer what was done by events up to ``committed``, which are durable."""
        self._inbox.settle(committed)

    def retry(self, numbers: Sequence[int], *, from_scratch: bool) -> list[Retry]:
        """Have trials run again, all that have failed where none is named. Those that will.

        Raises:
            StudyNotFoundError, UsageError: as `retries`; nothing is recorded then.
            StoreError: the journal cannot be written.
        """
        found = retries(self._logbook.state, self._name, numbers, from_scratch=from_scratch)
        with self._logbook.together():
            for each in found:
                self._archive.discard(each.trial, each.discarded, DISCARDED)
                self._logbook.record(TrialRetried(trial=each.trial, from_scratch=from_scratch))
        return found

    def stop(self, number: int) -> Trial:
        """Have a trial end where it is. One that executes is still to leave its slot.

        Raises:
            StudyNotFoundError, UsageError: as `stoppable`.
            StoreError: the journal cannot be written.
            ProgramError: the sampler fails on the result.
        """
        trial = stoppable(self._logbook.state, self._name, number)
        with self._logbook.together():
            if not trial.stopped:
                self._logbook.record(TrialStopped(trial=number))
            if not trial.executing:
                self._conclude(number, TrialState.PRUNED)
        return trial

    def abandon(self, number: int) -> None:
        """Record that a stopped trial was taken off its slot, since it did not leave in time."""
        attempt = self._logbook.state.trials[number].attempts
        self._logbook.record(AttemptStopped(trial=number, attempt=attempt))

    def _carry_out(self, wish: Wish) -> dict[str, Any]:
        match wish:
            case RetryTrials(trials=trials, from_scratch=from_scratch):
                found = self.retry(trials, from_scratch=from_scratch)
                return {"retried": [each.record() for each in found]}
            case StopTrial(trial=number):
                return {"trial": number, "state": str(self.stop(number).state)}


def stoppable(state: StudyState, study: str, number: int) -> Trial:
    """Trial ``number`` of a study, which is not over.

    Raises:
        StudyNotFoundError: there is no such trial.
        UsageError: it is over.
    """
    if number not in state.trials:
        raise StudyNotFoundError(
            f"{study}: has no trial {number}; it has {counted(len(state.trials), 'trial')}"
        )
    trial = state.trials[number]
    if trial.state.finished:
        raise UsageError(f"{study}: trial {number} is {str(trial.state).lower()} already")
    return trial
