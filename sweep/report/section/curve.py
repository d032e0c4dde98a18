"""Learning curves: what each trial reported, step by step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sweep.quantity import counted
from sweep.report.chart import Frame, Point, dot, figure, key, line, mark, path
from sweep.report.element import NOTHING, Markup, element, join
from sweep.report.scale import Numbers, outside, scale_of
from sweep.report.subject import Subject
from sweep.report.thinning import evenly, favouring, shown_text

if TYPE_CHECKING:
    import pandas as pd

CURVES = 200
"""So many trials are drawn."""

FAVOURED = 50
"""So many of these are the best."""

POINTS = 100
"""So many reports of a trial are drawn."""

METRICS = 16
"""So many metrics have a chart."""

CURVES_OF_OTHERS = 60
"""So many trials are drawn of a metric that is no objective."""


def curves(subject: Subject) -> Markup:
    """A chart for each metric that is reported while a trial runs, the objectives first."""
    objectives = [each.name for each in subject.spec.objectives]
    columns = [str(name) for name in subject.reports.columns]
    others = [name.removeprefix("metrics.") for name in columns if name.startswith("metrics.")]
    names = [
        name
        for name in dict.fromkeys([*objectives, *others])
        if f"metrics.{name}" in subject.reports and subject.reports[f"metrics.{name}"].notna().any()
    ]
    if not names:
        return element("p", "No trial has reported a metric while it ran.")
    charts = [
        _chart(subject, name, CURVES if name in objectives else CURVES_OF_OTHERS)
        for name in names[:METRICS]
    ]
    if len(names) > METRICS:
        hidden = ", ".join(names[METRICS:])
        charts.append(element("p", f"Not drawn: {hidden}", class_="note"))
    return join(charts)


def _chart(subject: Subject, name: str, most: int) -> Markup:
    reports = subject.reports[["trial", "attempt", "step", f"metrics.{name}"]]
    reports = reports[reports[f"metrics.{name}"].notna()]
    numbers = subject.column("number")
    places = {number: at for at, number in enumerate(numbers)}
    indices: dict[Any, Any] = dict(reports.groupby("trial").indices)
    groups = {int(number): rows for number, rows in indices.items()}
    known = [number for number in groups if number in places]
    drawn = favouring(known, most, lambda number: (subject.loss(places[number]), number), FAVOURED)
    taken = {number: reports.iloc[_thinned(groups[number])] for number in drawn}
    values = [value for rows in taken.values() for value in rows[f"metrics.{name}"]]
    frame = Frame(height=380)
    x = Numbers(
        *_ends([int(step) for rows in taken.values() for step in rows["step"]]),
        *frame.x,
        count=10,
        whole=True,
        label=lambda value: f"{value:,.10g}",
    )
    y = scale_of(values, *frame.y)
    best = (
        numbers[subject.ranked[0]] if subject.ranked and len(subject.spec.objectives) == 1 else -1
    )
    order = sorted(drawn, key=lambda number: number == best)
    body = [
        _curve(taken[number], f"metrics.{name}", x, y, subject, places[number], number == best)
        for number in order
    ]
    shorter = sum(len(groups[number]) > POINTS for number in drawn)
    far = outside(y, values)
    notes = [
        shown_text(drawn, known, "trial", f"the best {FAVOURED}, others at even distances"),
        f"Of {counted(shorter, 'long one')} {POINTS} reports each." if shorter else "",
        f"{counted(far, 'value')} beyond the axis drawn at its edge." if far else "",
    ]
    return figure(
        f"{name} by step",
        frame.drawing(
            f"{name} of {counted(len(drawn), 'trial')} by step",
            frame.axes(x, y, "step", name),
            *body,
        ),
        note=" ".join(filter(None, notes)),
        keys=[
            *([key(line((1, 7), (19, 7), "line best"), "the best trial")] if best >= 0 else []),
            key(mark("cross", 10, 7, "pruned"), "pruned"),
            key(mark("bars", 10, 7, "paused"), "paused"),
            key(mark("up", 10, 7, "failed"), "failed"),
            key(mark("diamond", 10, 7, "resumed"), "resumed"),
        ],
    )


def _ends(steps: list[int]) -> tuple[float, float]:
    return min(steps), max(max(steps), min(steps) + 1)


def _thinned(rows: Any) -> list[int]:
    return evenly([int(row) for row in rows], POINTS)


def _curve(
    rows: pd.DataFrame,
    column: str,
    x: Numbers,
    y: Numbers,
    subject: Subject,
    place: int,
    best: bool,
) -> Markup:
    points: list[Point] = []
    resumed: list[Point] = []
    before = None
    for attempt, step, value in zip(rows["attempt"], rows["step"], rows[column], strict=True):
        if not math.isfinite(value):
            continue
        points.append((x.at(step), y.at(value)))
        if before is not None and attempt != before:
            resumed.append(points[-1])
        before = attempt
    if not points:
        return NOTHING
    tip, state = subject.tip(place), subject.states[place]
    drawn = path(points, "line best" if best else f"line thin {state}", tip)
    marks = [mark("diamond", *point, "resumed", f"{tip}\nresumed here") for point in resumed]
    shape = {"pruned": "cross", "paused": "bars", "failed": "up"}.get(state)
    if shape is not None:
        marks.append(mark(shape, *points[-1], state, tip))
    elif len(points) == 1:
        marks.append(dot(*points[0], state, tip))
    return join([drawn, *marks])
