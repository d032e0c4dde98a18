"""What a run says before its first trial: what has changed, and what the sampler knows of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sweep.cli.output import Output
from sweep.cli.rungs import rungs_record, rungs_text
from sweep.journal.event import HistoryAdded
from sweep.journal.state import StudyState
from sweep.quantity import counted
from sweep.spec import refused

if TYPE_CHECKING:  # `sweep show` needs no Optuna
    from sweep.driver.prepare import Request


def report_begin(request: Request, state: StudyState, out: Output) -> None:
    """Say what was accepted, and which trials the sampler was not told for it.

    ``state`` is the study's as it goes on. As JSON, nothing is said where nothing is new.
    """
    respaced = bool(request.state and request.state.trials and refused(request.changes))
    left_out = left_out_trials(state) if respaced else []
    if out.as_json:
        record: dict[str, Any] = {}
        if request.changes:
            record["changes"] = changes_record(change.texts for change in request.changes)
        if respaced:
            record["left_out"] = left_out
        if request.state is None or request.changes:
            rungs = rungs_record(request.spec)
            record |= {} if rungs is None else {"rungs": rungs}
        if request.histories:
            record["warm_start"] = [history_record(each) for each in request.histories]
        if record:
            out.data({"study": request.paths.name} | record)
        return
    name = request.paths.name
    for change in request.changes:
        out.line(f"{name}: {change}")
    rungs_line = rungs_text(request.spec)
    if rungs_line is not None:
        out.line(f"{name}: rungs at {rungs_line}")
    if left_out:
        out.line(f"{name}: {left_out_text(state)}")
    for history in request.histories:
        out.line(f"{name}: warm start from {history_text(history)}")


def changes_record(changes: Iterable[Sequence[str]]) -> list[dict[str, str]]:
    """Differences between two specs for JSON."""
    return [{"path": path, "old": old, "new": new} for path, old, new in changes]


def left_out_trials(state: StudyState) -> list[dict[str, Any]]:
    """The trials that do not fit the space as it is now, for JSON."""
    return [
        {"trial": trial.number, "reason": trial.left_out}
        for trial in state.trials.values()
        if trial.left_out is not None
    ]


def left_out_text(state: StudyState) -> str:
    """``the sampler is not told of 3 trials: lr: must be from 0 to 1, not 2 (3)``."""
    reasons = [str(each["reason"]) for each in left_out_trials(state)]
    return f"the sampler is not told of {counted(len(reasons), 'trial')}: {reasons_text(reasons)}"


def history_record(history: HistoryAdded) -> dict[str, Any]:
    """What was taken of another study, for JSON."""
    return {
        "source": history.source,
        "taken": len(history.trials),
        "left_out": [{"trial": number, "reason": reason} for number, reason in history.left_out],
    }


def history_text(history: HistoryAdded) -> str:
    """``runs/other: 18 trials, 2 left out: lr: must be from 0 to 1, not 2 (2)``."""
    text = f"{history.source}: {counted(len(history.trials), 'trial')}"
    if not history.left_out:
        return text
    reasons = reasons_text(reason for _, reason in history.left_out)
    return f"{text}, {len(history.left_out)} left out: {reasons}"


def reasons_text(reasons: Iterable[str]) -> str:
    """Why trials were left out, in one line: ``lr: is new, and has no default (12), ...``.

    Of each parameter the first reason is given, since those of others differ in their values only.
    """
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for reason in reasons:
        name = reason.partition(":")[0]
        first.setdefault(name, reason)
        counts[name] += 1
    return ", ".join(f"{first[name]} ({count})" for name, count in counts.items())
