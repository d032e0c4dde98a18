"""Which checkpoint of a trial is meant: the latest, the best, that of a step, or one by its id."""

from __future__ import annotations

from sweep.checkpoint import hold
from sweep.checkpoint.record import CheckpointRecord
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
            first), the newer of equals: the state that was measured, or where none is kept the
            nearest before the best report (see `remark`); the step of a report, of which the newest
            one that was taken at it counts; or an id as the tables give it, with or without the
            trial's number before the ``@``.

    Raises:
        StudyNotFoundError: the study has no such checkpoint, or does not keep it any more.
        UsageError: ``which`` is nothing of that.
    """
    found_trial = find_trial(state, study, trial)
    kept = found_trial.kept
    found = found_trial.newest if which == LATEST else _find(state, found_trial, str(which))
    if found is None:
        there = ", ".join(checkpoint.id for checkpoint in kept) or "none"
        why = _why_not(found_trial, str(which))
        raise StudyNotFoundError(f"{study}: {why}; of this trial there is: {there}")
    return found


def remark(state: StudyState, found: Checkpoint, which: str | int) -> str | None:
    """What is to be said of a checkpoint that `select` has found as ``which``, so that nobody takes
    it for another state; None where it is just what was asked for."""
    if which == BEST:
        trial, (metric, maximize) = state.trials[found.trial], state.leading
        value, best = found.value(metric), trial.best_report(metric, maximize)
        if best is None or value == best[1]:
            return None
        if value is None:
            return _not_measured(found, trial, metric, best)
        return (
            f"{found.id} has {metric} {value:.6g}, the best of what is kept; of the best report of "
            f"trial {trial.number}, {best[1]:.6g} at step {best[0]}, there is no checkpoint"
        )
    if str(which).isdecimal() and not found.record["measured"]:
        return f"{found.id} is not the state of that report, but was saved after it"
    return None


def _find(state: StudyState, trial: Trial, which: str) -> Checkpoint | None:
    if which == BEST:
        return _best(state, trial)
    if which.isdecimal():
        return _at_step(trial.kept, int(which))
    wanted = _identifier(which, trial.number)
    if "." not in wanted:
        raise UsageError(f"{which}: must be latest, best, a step, or the id of a checkpoint")
    return next((known for known in trial.kept if known.id == wanted), None)


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


def _best(state: StudyState, trial: Trial) -> Checkpoint | None:
    metric, maximize = state.leading
    best = trial.best_report(metric, maximize)
    records = [CheckpointRecord.from_json(known.record) for known in trial.kept]
    found = hold.best(records, 1, metric, maximize, None if best is None else best[0])
    return next((known for known in trial.kept if known.id in found), None)


def _at_step(kept: list[Checkpoint], step: int) -> Checkpoint | None:
    """That of the report itself; else the first one after it."""
    at = [known for known in kept if known.step == step]
    measured = [known for known in reversed(at) if known.record["measured"]]
    return next(iter([*measured, *at]), None)


def _not_measured(found: Checkpoint, trial: Trial, metric: str, best: tuple[int, float]) -> str:
    return (
        f"{found.id} is not the state that was measured: no checkpoint that trial {trial.number} "
        f"keeps was taken at a report of {metric}. It is the nearest to the best report, "
        f"{best[1]:.6g} at step {best[0]}"
    )
