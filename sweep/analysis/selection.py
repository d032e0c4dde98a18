"""Which checkpoint of a trial is meant: the latest, the best, that of a step, or one by its id."""

from __future__ import annotations

import math

from sweep.errors import StudyNotFoundError, UsageError
from sweep.journal.state import Checkpoint, StudyState, Trial
from sweep.quantity import counted

LATEST, BEST = "latest", "best"


def find_trial(state: StudyState, study: str, number: int) -> Trial:
    """Trial ``number`` of a study.

    Raises:
        StudyNotFoundError: there is none.
    """
    if number not in state.trials:
        raise StudyNotFoundError(
            f"{study}: has no trial {number}; it has {counted(len(state.trials), 'trial')}"
        )
    return state.trials[number]


def select(state: StudyState, study: str, trial: int, which: str | int = LATEST) -> Checkpoint:
    """A checkpoint of ``trial`` that is kept.

    Args:
        which: ``"latest"`` that has a state; ``"best"`` by the study's metric (of several the
            first), the newer of equals; the step of a report, of which the newest one is taken; or
            an id as the tables give it, with or without the trial's number before the ``@``.

    Raises:
        StudyNotFoundError: the study has no such checkpoint, or does not keep it any more.
        UsageError: ``which`` is nothing of that.
    """
    found_trial = find_trial(state, study, trial)
    kept = found_trial.kept
    found = found_trial.newest if which == LATEST else _find(state, kept, str(which), trial)
    if found is None:
        there = ", ".join(checkpoint.id for checkpoint in kept) or "none"
        why = _why_not(found_trial, str(which))
        raise StudyNotFoundError(f"{study}: {why}; of this trial there is: {there}")
    return found


def _find(state: StudyState, kept: list[Checkpoint], which: str, trial: int) -> Checkpoint | None:
    if which == BEST:
        return _best(state, kept)
    if which.isdecimal():
        return next((known for known in reversed(kept) if known.step == int(which)), None)
    wanted = _identifier(which, trial)
    if "." not in wanted:
        raise UsageError(f"{which}: must be latest, best, a step, or the id of a checkpoint")
    return next((known for known in kept if known.id == wanted), None)


def _identifier(which: str, trial: int) -> str:
    return which if "@" in which else f"{trial}@{which}"


def _why_not(trial: Trial, which: str) -> str:
    """Why there is no such checkpoint of ``trial``."""
    if which in (LATEST, BEST):
        return f"no checkpoint of trial {trial.number} is the {which}"
    if which.isdecimal():
        known = [each for each in trial.checkpoints.values() if each.step == int(which)]
        name = f"of trial {trial.number} at step {which}"
    else:
        wanted = _identifier(which, trial.number)
        known = [each for each in trial.checkpoints.values() if each.id == wanted]
        name = f"{wanted} of trial {trial.number}"
    if not known:
        return f"no checkpoint {name}"
    if known[-1].damaged is not None:
        return f"{known[-1].id} is damaged ({known[-1].damaged})"
    return f"{known[-1].id} is not kept any more (checkpoint.keep says what is)"


def _best(state: StudyState, kept: list[Checkpoint]) -> Checkpoint | None:
    metric = state.spec["metric"][0] if state.several else state.spec["metric"]
    sign = -1.0 if metric["goal"] == "maximize" else 1.0
    ranked = [
        (sign * value, -place)
        for place, known in enumerate(kept)
        if known.content != "light"
        and not math.isnan(value := known.record["metrics"].get(metric["name"], math.nan))
    ]
    return kept[-min(ranked)[1]] if ranked else None
