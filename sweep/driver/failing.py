"""Whether a study halts since its trials fail: too many of them, or all of them alike."""

from __future__ import annotations

import re
from collections import defaultdict
from enum import StrEnum

from sweep.journal.event import Cause, TrialState
from sweep.journal.state import StudyState, Trial
from sweep.quantity import counted
from sweep.spec import MaxFailures

ALIKE_LIMIT = 3
"""So many trials that failed alike halt a study in which no other one came to more."""


class Halting(StrEnum):
    """Why a study halts; as `DriverStopped` has it."""

    ALIKE = "trials fail alike"
    TOO_MANY = "too many failures"


def failing(state: StudyState, allowed: MaxFailures) -> Halting | None:
    """Why a study with these trials halts, if it does.

    ``allowed`` is ``max_failures`` of the spec: with a number it halts at so many failed trials,
    with ``alike`` where the first ones to end have all failed, `ALIKE_LIMIT` of them with the same
    traceback.
    """
    if allowed == "none":
        return None
    if allowed != "alike":
        return Halting.TOO_MANY if state.counts[TrialState.FAILED] >= allowed else None
    return Halting.ALIKE if alike(state) else None


def failing_text(state: StudyState, allowed: MaxFailures) -> str | None:
    """Why a study with these trials halts, in words."""
    match failing(state, allowed):
        case Halting.ALIKE:
            return f"{len(alike(state))} trials failed alike, and none has come to a result"
        case Halting.TOO_MANY:
            failed = counted(state.counts[TrialState.FAILED], "trial")
            return f"{failed} failed, and max_failures is {allowed}"
        case None:
            return None


def alike(state: StudyState) -> list[Trial]:
    """The trials that failed alike, where that is all that is known of the program.

    There are none where any trial came to a result, is paused with one, or runs and has reported a
    later step than those that failed: the program works, then, with other parameters.
    """
    succeeded = state.counts[TrialState.COMPLETE] + state.counts[TrialState.PRUNED]
    if succeeded or state.paused or state.counts[TrialState.FAILED] < ALIKE_LIMIT:
        return []
    groups: defaultdict[tuple[str, ...], list[Trial]] = defaultdict(list)
    for trial in state.trials.values():
        if trial.state is TrialState.FAILED and trial.imported is None:
            groups[signature(trial)].append(trial)
    groups.pop((), None)
    most = max(groups.values(), key=len, default=[])
    if len(most) < ALIKE_LIMIT:
        return []
    reached = max(_step(trial) for trial in most)
    ahead = any(_step(trial) > reached for trial in state.running.values())
    return [] if ahead else most


def _step(trial: Trial) -> int:
    return -1 if trial.step is None else trial.step


_FRAME = re.compile(r'File "(?:.*[/\\])?([^"/\\]+)", line (\d+)(?:, in (.+))?$')


def signature(trial: Trial) -> tuple[str, ...]:
    """What equal failures have in common: the frames of the traceback and the kinds of errors.

    Messages differ with the parameters, and directories with the session. Empty where the trial did
    not raise, but came to NaN, say.
    """
    if trial.cause is Cause.UNREPORTED:
        return (str(trial.cause),)
    found, inside = list[str](), False
    for line in (trial.error or "").splitlines():
        text = _MARGIN.sub("", line)
        frame = _FRAME.search(text)
        if frame is not None:
            found.append(":".join(part or "" for part in frame.groups()))
            inside = True
        elif inside and text and not text[0].isspace():  # the error that ends these frames
            found.append(text.partition(":")[0])
            inside = False
    return tuple(found)


_MARGIN = re.compile(r"^\s*[|+](?:-+\s)?\s?")
"""What stands before each line of an exception group."""
