"""How a study and its trials stand, in words and for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweep.cli.output import params_text, text
from sweep.driver import summary
from sweep.driver.summary import QUEUED, idle_status, total_of
from sweep.journal.event import TrialState
from sweep.journal.lock import holder
from sweep.journal.state import StudyState, Trial
from sweep.paths import StudyPaths
from sweep.quantity import counted
from sweep.spec import StudySpec


def status_of(paths: StudyPaths, spec: StudySpec, state: StudyState) -> str:
    """``running``, ``starting``, or what an idle study is."""
    driver = holder(paths.lock)
    return idle_status(spec, state) if driver is None else driver.status


def state_text(trial: Trial, status: str = "running") -> str:
    """A trial's state for people: nothing runs in a study that no driver runs."""
    if trial.queued:
        return QUEUED
    if trial.state is TrialState.RUNNING and status != "running":
        return "interrupted"
    return str(trial.state).lower()


def counts_text(state: StudyState, status: str = "running") -> str:
    """``20 trials (14 complete, 6 pruned)``. ``status`` is the study's."""
    texts = [state_text(trial, status) for trial in state.unfinished.values()]
    parts = [f"{texts.count(text)} {text}" for text in sorted(set(texts), key=QUEUED.__eq__)]
    parts += [
        f"{count} {str(kind).lower()}"
        for kind, count in state.counts.items()
        if count and kind.finished
    ]
    return counted(len(state.trials), "trial") + (f" ({', '.join(parts)})" if parts else "")


def progress_text(spec: StudySpec, state: StudyState) -> str:
    """``6 of 20 trials are finished, 2 were running, 1 is queued``."""
    done, total = state.finished, counted(total_of(spec, state), "trial")
    queued = sum(trial.queued for trial in state.running.values())
    running = len(state.running) - queued
    parts = [f"{done} of {total} {'is' if done == 1 else 'are'} finished"]
    if running:
        parts.append(f"{running} {'was' if running == 1 else 'were'} running")
    if state.paused:
        paused = len(state.paused)
        parts.append(f"{paused} {'is' if paused == 1 else 'are'} paused")
    if queued:
        parts.append(f"{queued} {'is' if queued == 1 else 'are'} queued")
    return ", ".join(parts)


def waited_text(spec: StudySpec, state: StudyState) -> str | None:
    """``3.1% of the slot time ...``: what ``deterministic: true`` has cost so far."""
    share = state.idling.share
    if not spec.deterministic or share is None:
        return None
    kind = "deterministic" if spec.lag is None else f"deterministic, window {spec.lag}"
    return f"{share:.1%} of the slot time lost while trials were left to start ({kind})"


def searched_names(spec: StudySpec, trials: Sequence[Trial]) -> list[str]:
    """Names of the parameters that are searched in any of ``trials``, in the order of the space."""
    rows = [spec.space.searched(trial.params) for trial in trials]
    return list(dict.fromkeys(name for row in rows for name in row))


def searched_text(spec: StudySpec, trial: Trial) -> str:
    """The parameters of a trial that are searched, as text."""
    return params_text(spec.space.searched(trial.params))


def values_text(spec: StudySpec, values: Sequence[float | None]) -> str:
    """The values of the objectives: ``loss 0.31, latency_ms 17``."""
    names = (each.name for each in spec.objectives)
    return ", ".join(f"{name} {text(value)}" for name, value in zip(names, values, strict=True))


def values_of(trial: Trial) -> list[float | None]:
    """The values of the objectives of a trial that has them, one or several."""
    return [trial.value] if trial.values is None else list(trial.values)


def exceeded_text(spec: StudySpec, trial: Trial) -> str:
    """The constraints that a trial does not keep: ``latency_ms <= 20 missed by 3``."""
    named = zip(spec.constraints, trial.violations, strict=False)
    return "; ".join(f"{each} missed by {text(much)}" for each, much in named if much > 0)


def front_text(state: StudyState) -> str:
    """``3 trials on the Pareto front``."""
    return f"{counted(len(state.front), 'trial')} on the Pareto front"


def best_text(spec: StudySpec, state: StudyState) -> str | None:
    """The incumbent: ``loss 0.31 in trial 3 (lr=0.1)``; or how large the front is."""
    if state.several:
        return front_text(state) if state.front else None
    best = state.best
    if best is None:
        return None
    where = f"in trial {best.number} ({searched_text(spec, best)})"
    return f"{values_text(spec, [best.value])} {where}"


def summary_record(paths: StudyPaths, spec: StudySpec, state: StudyState) -> dict[str, Any]:
    """A study for JSON."""
    return {"study": spec.name, "path": str(paths.root)} | summary.summary_record(spec, state)
