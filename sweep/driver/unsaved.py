"""Trials whose attempts end again and again before they have saved anything."""

from __future__ import annotations

import logging

from sweep.journal.attempt import Attempt, End
from sweep.journal.state import Trial
from sweep.quantity import counted, duration_text

_log = logging.getLogger("sweep")

OFTEN = 2
"""From so many attempts in a row on it is said."""

_CUT_OFF = (End.KILLED, End.STOPPED, End.INTERRUPTED, End.FAILED)


def unsaved_attempts(trial: Trial) -> list[Attempt]:
    """The last attempts of a trial that were cut off before they had saved anything, newest first.

    An exception of the user's code is no such end.
    """
    saved = {each.attempt for each in trial.checkpoints.values()}
    # An older sweep recorded the death of a worker as a failure.
    raised = {each.attempt for each in trial.failed if not each.reason.startswith("worker died")}
    found: list[Attempt] = []
    for each in reversed(trial.executions):
        if each.end is End.RUNNING:
            continue
        if each.end not in _CUT_OFF or each.number in saved | raised:
            break
        found.append(each)
    return found


def advice(trial: Trial, steps: int | None = None) -> str | None:
    """What to do about such a trial; None where there is nothing to be said.

    ``steps`` are those that its last attempt has completed, where that is known.
    """
    cut = unsaved_attempts(trial)
    if len(cut) < OFTEN:
        return None
    longest = duration_text(max(each.ended - each.began for each in cut))
    made = [each for each in (steps, *(attempt.lost for attempt in cut)) if each]
    how = "have it call trial.step() in its loop, and save with checkpoint: {every: {steps: n}}"
    if made:
        every = max(1, min(made) // 2)
        how = f"have it save sooner, as with --set 'checkpoint.every={{steps: {every}}}'"
    return (
        f"its last {counted(len(cut), 'attempt')} ended before anything was saved, the longest "
        f"after {longest}: {how}"
    )


def advise(study: str, trial: Trial, steps: int | None) -> None:
    """Warn of a trial that is dispatched once more, where there is reason to."""
    said = advice(trial, steps)
    if said is not None:
        _log.warning("%s: trial %d: %s", study, trial.number, said)
