"""The study in a few lines, and its best trials."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from sweep.quantity import bytes_text, counted, duration_text, text
from sweep.report.chart import table
from sweep.report.element import Markup, element, join
from sweep.report.naming import shared_beginning, short_names
from sweep.report.scale import shortened
from sweep.report.subject import Subject
from sweep.spec.suggestion import plain

LISTED = 100
"""So many trials are in the table."""

HEADER = 24
"""So many characters of a name are above a column."""

COLUMNS = 8
"""So many parameters are."""


def summary(subject: Subject) -> Markup:
    """What was asked, how it stands, and what was found."""
    pairs = {
        **({"description": subject.spec.description} if subject.spec.description else {}),
        "status": subject.status,
        "objective" if len(subject.spec.objectives) == 1 else "objectives": ", ".join(
            f"{each.goal} {each.name}" for each in subject.spec.objectives
        ),
        **(
            {"constraints": ", ".join(subject.spec.constraints)} if subject.spec.constraints else {}
        ),
        "trials": _counts(subject),
        _best_name(subject): _best(subject),
        "method": plain(subject.spec.model_dump(mode="json")["method"]),
        "time": _times(subject),
        "checkpoints": _checkpoints(subject),
    }
    rows = [join([element("dt", name), element("dd", said)]) for name, said in pairs.items()]
    return element("dl", *rows)


def trials(subject: Subject) -> Markup:
    """The best trials, then the newest others, as a table that can be sorted."""
    places = _listed(subject)
    names = subject.ordered[:COLUMNS]
    labels = short_names(subject.ordered, HEADER)
    objectives = [each.name for each in subject.spec.objectives]
    values = [subject.values(index) for index in range(len(objectives))]
    params = [subject.param(name) for name in names]
    durations, steps = subject.column("duration_s"), subject.column("steps")
    rows = [
        [
            _number(int(subject.trials["number"].iloc[at])),
            _state(subject, at),
            *(_number(column[at]) for column in values),
            *(_number(column[at]) for column in params),
            _number(steps[at]),
            (duration_text(durations[at]), durations[at] or 0.0),
        ]
        for at in places
    ]
    left = len(subject.trials) - len(places)
    what = f"The best {len(places)} of {len(subject.trials):,} trials" if left else "All trials"
    order = "the best first" if len(objectives) == 1 else f"the best by {objectives[0]} first"
    hidden = len(subject.searched) - len(names)
    more = f"; {counted(hidden, 'more parameter')} not shown" if hidden > 0 else ""
    return table(
        f"{what}, {order}{more}{_shared(subject)}",
        ["trial", "state", *objectives, *(labels[name] for name in names), "steps", "time"],
        rows,
        sortable=True,
    )


def _shared(subject: Subject) -> str:
    shared = shared_beginning(subject.ordered)
    return f"; all parameters begin with {shared}" if shared else ""


def _state(subject: Subject, at: int) -> str:
    if not subject.feasible[at]:
        return f"{subject.states[at]}, exceeds a constraint"
    on_front = int(subject.trials["number"].iloc[at]) in subject.chronicle.front
    return subject.states[at] + (", on the front" if on_front else "")


def _listed(subject: Subject) -> list[int]:
    ranked = subject.ranked
    first = set(ranked)
    others = [at for at in reversed(range(len(subject.trials))) if at not in first]
    return [*ranked, *others][:LISTED]


def _number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ("-" if isinstance(value, float) and math.isnan(value) else text(value), value)
    return shortened(text(value), 40)


def _counts(subject: Subject) -> str:
    counts = Counter(subject.states)
    said = ", ".join(f"{count:,} {state}" for state, count in counts.items())
    forks = int(subject.trials["parent"].notna().sum())  # they do not count towards the trials
    wanted, made = subject.spec.trials, len(subject.trials)
    total = f"{made:,}" + (f" of {max(wanted + forks, made):,}" if wanted is not None else "")
    said += f"; {counted(forks, 'fork')} among them" if forks else ""
    return total + (f" ({said})" if said else "")


def _best_name(subject: Subject) -> str:
    return "best" if len(subject.spec.objectives) == 1 else "front"


def _best(subject: Subject) -> str:
    if len(subject.spec.objectives) > 1:
        return f"{counted(len(subject.chronicle.front), 'trial')} on the Pareto front"
    if not subject.ranked:
        return "no trial is complete" + (
            " and keeps the constraints" if subject.spec.constraints else ""
        )
    at = subject.ranked[0]
    params = {name: subject.param(name)[at] for name in subject.ordered}
    said = ", ".join(
        f"{name} = {shortened(text(value), 200)}"
        for name, value in params.items()
        if value is not None
    )
    number = subject.trials["number"].iloc[at]
    value = text(subject.values(0)[at])
    return f"{subject.spec.objective.name} {value} in trial {number}" + (
        f": {said}" if said else ""
    )


def _times(subject: Subject) -> str:
    sessions = subject.chronicle.sessions
    if not sessions:
        return "not begun"
    active = sum(each.ended - each.began for each in sessions)
    began = datetime.fromtimestamp(sessions[0].began, UTC)
    ended = datetime.fromtimestamp(sessions[-1].ended, UTC)
    return (
        f"{duration_text(active)} in {counted(len(sessions), 'session')}, "
        f"{began:%Y-%m-%d %H:%M} to {ended:%Y-%m-%d %H:%M} UTC"
    )


def _checkpoints(subject: Subject) -> str:
    frame = subject.checkpoints
    kept = frame[frame["retired"].isna()]
    return f"{len(kept):,} kept ({bytes_text(int(kept['bytes'].sum()))}) of {len(frame):,} saved"
