"""Which trials a user can have run again, and from where each resumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sweep.checkpoint.record import Kind
from sweep.driver.saving import resumable
from sweep.errors import StudyNotFoundError, UsageError
from sweep.journal.event import TrialState
from sweep.journal.state import Checkpoint, StudyState, Trial
from sweep.quantity import counted

DISCARDED = "retried"
"""Why checkpoints are retired of a trial that a user has retried from before them."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A trial that is to run again, from ``checkpoint`` (None: from the start)."""

    trial: int
    checkpoint: str | None
    discarded: tuple[str, ...] = ()
    """Checkpoints that are to be retired before."""

    def record(self) -> dict[str, Any]:
        """It as JSON."""
        return {"trial": self.trial, "checkpoint": self.checkpoint}

    def __str__(self) -> str:
        where = "the start" if self.checkpoint is None else self.checkpoint
        return f"trial {self.trial} from {where}"


def retries(
    state: StudyState, study: str, numbers: Sequence[int], *, from_scratch: bool
) -> list[Retry]:
    """The trials ``numbers`` of a study, each once; all that have failed where none is named.

    Raises:
        StudyNotFoundError: the study has no such trial.
        UsageError: one of them cannot be retried; the message says why.
    """
    if not numbers:
        numbers = [
            trial.number
            for trial in state.trials.values()
            if trial.state is TrialState.FAILED and _why_not(trial) is None
        ]
    found = []
    for number in dict.fromkeys(numbers):
        if number not in state.trials:
            raise StudyNotFoundError(
                f"{study}: has no trial {number}; it has {counted(len(state.trials), 'trial')}"
            )
        trial = state.trials[number]
        why_not = _why_not(trial)
        if why_not is not None:
            raise UsageError(f"{study}: trial {number} cannot be retried: {why_not}")
        found.append(_from_scratch(trial, study) if from_scratch else _from_newest(trial))
    return found


def _why_not(trial: Trial) -> str | None:
    if trial.closed or not trial.state.finished:
        return (
            f"it is {str(trial.state).lower()}; only failed trials are retried, and those that "
            "`sweep stop STUDY/TRIAL` has ended"
        )
    if trial.imported is not None:
        return f"it ran elsewhere ({trial.imported})"
    if trial.successor is not None:
        return f"trial {trial.successor} has taken its place in the population"
    return None


def _from_newest(trial: Trial) -> Retry:
    """Not from a final one: the function had returned, so it would fail alike (a NaN, say)."""
    ends = [each for each in trial.kept if Kind(each.record["kind"]) is Kind.FINAL]
    kept = [each for each in trial.kept if each not in ends and resumable(each.record)]
    return Retry(trial.number, kept[-1].id if kept else None, tuple(each.id for each in ends))


def _from_scratch(trial: Trial, study: str) -> Retry:
    """A fork begins where it was forked, which it must have kept."""
    first = next((each for each in trial.kept if _inherited(trial, each)), None)
    if trial.fork is not None and first is None:
        raise UsageError(
            f"{study}: trial {trial.number} is a fork and no longer keeps {trial.fork.checkpoint}, "
            "from which it began: retry it without --from-scratch, or fork "
            f"{trial.fork.source} again"
        )
    gone = tuple(each.id for each in trial.kept if each is not first)
    return Retry(trial.number, None if first is None else first.id, gone)


def _inherited(trial: Trial, checkpoint: Checkpoint) -> bool:
    """Whether it is the one with which a fork began; its own have the number of an attempt."""
    return trial.fork is not None and checkpoint.attempt == 0
