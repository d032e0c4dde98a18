"""Parallel coordinates: each trial as a line through its parameters, to its value."""

from __future__ import annotations

import math

from sweep.quantity import counted, text
from sweep.report.chart import Frame, figure, key, label, line, path
from sweep.report.element import Markup, join
from sweep.report.naming import short_names
from sweep.report.scale import Scale, scale_of, shortened, value_scale
from sweep.report.section.slice import log_of, nothing_drawn
from sweep.report.subject import Subject
from sweep.report.thinning import favouring, shown_text

LINES = 400
"""So many trials are drawn."""

FAVOURED = 100
"""So many of these are the best."""

AXES = 10
"""So many parameters have an axis."""

AXIS = 16
"""So many characters of a name are above an axis."""

SHADES = 5
"""So many shades tell good values from bad ones."""


def coordinates(subject: Subject) -> Markup:
    """Lines of completed trials, the better the stronger, and of pruned ones behind them."""
    values = subject.values(0)
    pruned = [
        at
        for at, state in enumerate(subject.states)
        if state == "pruned" and math.isfinite(values[at])
    ]
    complete, places = len(subject.ranked), [*subject.ranked, *pruned]
    params = {name: subject.param(name) for name in subject.ordered}
    having = [name for name in params if any(params[name][at] is not None for at in places)]
    names = having[:AXES]
    if not names:
        return nothing_drawn(subject)
    frame = Frame(height=360, left=50, right=70, top=30, bottom=30)
    low, high = frame.y
    scales: list[Scale] = [
        value_scale(
            [each for at in places if (each := params[name][at]) is not None],
            low,
            high,
            log=log_of(subject, name),
        )
        for name in names
    ]
    final = scale_of([values[at] for at in places], low, high)
    left, right = frame.x
    xs = [left + (right - left) * place / len(names) for place in range(len(names) + 1)]
    rank = {at: order for order, at in enumerate(places)}
    drawn = favouring(sorted(places), LINES, lambda at: rank[at], FAVOURED)
    lines = []
    for at in sorted(drawn, key=lambda at: -rank[at]):
        points = [
            (x, scale.at(params[name][at]) if params[name][at] is not None else low + 14)
            for x, scale, name in zip(xs, scales, names, strict=False)
        ]
        points.append((xs[-1], final.at(values[at])))
        shade = SHADES * rank[at] // max(1, complete)
        class_ = f"line shade{shade}" if rank[at] < complete else "line thin pruned"
        lines.append(path(points, class_, subject.tip(at)))
    objective = subject.spec.objective.name
    short = short_names(having, AXIS)
    shown = [*(short[name] for name in names), shortened(objective, AXIS)]
    axes = [
        _axis(x, scale, name, low, high)
        for x, scale, name in zip(xs, [*scales, final], shown, strict=True)
    ]
    hidden = len(having) - len(names)
    note = shown_text(drawn, places, "trial", f"the best {FAVOURED}, others at even distances")
    note += f" {counted(hidden, 'more parameter')} not drawn." if hidden else ""
    note += subject.shared_note(having)
    lacking = any(params[name][at] is None for name in names for at in drawn)
    note += " A line meets an axis below its end where the trial lacks it." if lacking else ""
    title = f"{counted(len(drawn), 'trial')} over {counted(len(names), 'parameter')}"
    keys = [
        key(line((1, 7), (19, 7), f"line shade{shade}"), said)
        for shade, said in ((0, "best fifth"), (2, "middle"), (4, "worst fifth of the complete"))
    ]
    keys += [key(line((1, 7), (19, 7), "line thin pruned"), "pruned")] if pruned else []
    best = f"; the best has {objective} {text(values[places[0]])}" if complete else ""
    return figure(
        f"Parameters and {objective}",
        frame.drawing(title + best, *lines, *axes),
        note=note,
        keys=keys,
    )


def _axis(x: float, scale: Scale, name: str, low: float, high: float) -> Markup:
    ticks = [
        label(shortened(said, 10), x + 5, at + 4, "start", "halo") for at, said in scale.ticks()
    ]
    return join(
        [line((x, low), (x, high), "axis"), label(name, x, high - 12, "middle", "name"), *ticks]
    )
