"""A study in a record for JSON: how it stands and what is its best; `sweep ls` shows no more."""

from __future__ import annotations

from typing import Any

from sweep.driver.failing import failing, failing_text
from sweep.driver.plan import Limits, is_complete, timed_out
from sweep.journal.state import StudyState, Trial
from sweep.quantity import counted
from sweep.spec import StudySpec

QUEUED = "queued"
HALTED = "halted"


def summary(spec: StudySpec, state: StudyState) -> dict[str, Any]:
    """A study as it is where no driver runs it."""
    return summary_record(spec, state) | {
        "status": idle_status(spec, state),
        "total": total_of(spec, state),
        "updated": state.time,
        "note": note_text(spec, state),
        "searched": None if state.best is None else spec.space.searched(state.best.params),
    }


def idle_status(spec: StudySpec, state: StudyState) -> str:
    """``complete``, ``timed out``, ``halted`` (trials fail), ``queued`` (nothing is left but forks
    that were never begun), or ``interrupted``."""
    limits = Limits.of(spec, state)
    if is_complete(state, limits):
        return "complete"
    if timed_out(state, limits, state.time):
        return "timed out"
    if failing(state, limits.max_failures) is not None:
        return HALTED
    forks = all(each.queued and each.fork is not None for each in state.unfinished.values())
    waits = state.asked >= limits.total and forks
    return QUEUED if waits else "interrupted"


def note_text(spec: StudySpec, state: StudyState) -> str | None:
    """Why a study does not run to its last trial, where its trials decide that."""
    if is_complete(state, Limits.of(spec, state)):
        return _exhausted_text(spec, state)
    return failing_text(state, spec.max_failures)


def _exhausted_text(spec: StudySpec, state: StudyState) -> str | None:
    ends = state.exhausted is not None or spec.method.ends
    if not ends or spec.trials is None or state.asked >= spec.trials:
        return None
    return (
        f"every combination of the space was tried: it ends after {counted(state.asked, 'trial')}, "
        f"and trials is {spec.trials}"
    )


def total_of(spec: StudySpec, state: StudyState) -> int:
    """Trials in all: what the spec says, or more where more were made before it said less, and
    forks."""
    return max(Limits.of(spec, state).total, state.asked) + state.forks


def spent(trial: Trial) -> float:
    """Seconds on a slot, all attempts together, up to the last that is known of it."""
    running = trial.executing and trial.dispatched is not None
    return trial.duration + (trial.updated - (trial.dispatched or 0.0) if running else 0.0)


def trial_record(trial: Trial) -> dict[str, Any]:
    """A trial for JSON."""
    return {
        "trial": trial.number,
        "state": str(trial.state),
        "queued": trial.queued,
        "value": trial.value,
        "values": trial.values,
        "feasible": None if trial.value is None else trial.feasible,
        "params": trial.params,
        "attempts": trial.attempts,
        "step": trial.step,
        "duration_s": spent(trial),
        "checkpoint": None if trial.shown is None else trial.shown.id,
        "parent": None if trial.fork is None else trial.fork.parent,
        "source": None if trial.fork is None else trial.fork.source,
        "exploits": None if trial.fork is None else trial.fork.exploits,
        "reason": trial.reason,
        "cause": trial.cause,
        "reuses": trial.reuses,
    }


def summary_record(spec: StudySpec, state: StudyState) -> dict[str, Any]:
    """A study for JSON."""
    best = state.best
    return {
        "study": spec.name,
        "metric": spec.objective.name,
        "goal": str(spec.objective.goal),
        "objectives": [{"name": each.name, "goal": str(each.goal)} for each in spec.objectives],
        "trials": len(state.trials),
        "states": {str(kind): count for kind, count in state.counts.items() if count},
        "best": None if best is None else trial_record(best),
        "front": sorted(state.front) if state.several else None,
    }
