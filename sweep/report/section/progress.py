"""How the best value came about, or the Pareto front of several objectives."""

from __future__ import annotations

import itertools
import math

from sweep.quantity import counted, text
from sweep.report.chart import Frame, dot, figure, key, line, mark, path, steps
from sweep.report.element import Markup, element, join
from sweep.report.scale import Numbers, outside, scale_of
from sweep.report.subject import Subject
from sweep.report.thinning import favouring, shown_text

DOTS = 1500
"""So many trials are drawn in a chart."""

FAVOURED = 300
"""So many of these are the best."""

PAIRS = 6
"""So many pairs of objectives are drawn."""


def incumbents(subject: Subject) -> Markup:
    """Values in the order in which they were known, and the best of them so far."""
    values = subject.values(0)
    finished = [
        at
        for at in range(len(values))
        if math.isfinite(values[at]) and subject.states[at] in ("complete", "pruned")
    ]
    ends = subject.trials["finished"]
    finished.sort(key=lambda at: ends.iloc[at])
    if not finished:
        return element("p", "No trial has a result yet.")
    frame = Frame()
    x = Numbers(0, max(1, len(finished)), *frame.x, label="{:,.0f}".format, count=10, whole=True)
    y = scale_of((values[at] for at in finished), *frame.y)
    order = list(enumerate(finished, 1))
    drawn = favouring(order, DOTS, lambda pair: subject.loss(pair[1]), FAVOURED)
    dots = [
        dot(x.at(turn), y.at(values[at]), _class(subject, at), subject.tip(at))
        for turn, at in drawn
    ]
    best = _best(subject, order)
    curve = [(x.at(turn), y.at(values[at])) for turn, at in best]
    objective = subject.spec.objective
    note = shown_text(drawn, order, "trial", "the best, and others at even distances")
    far = outside(y, (values[at] for at in finished))
    note += f" {counted(far, 'value')} beyond the axis drawn at its edge." if far else ""
    title = f"{objective.name} of {counted(len(finished), 'finished trial')}" + (
        f"; the best is {text(values[best[-1][1]])}" if best else ""
    )
    body = [frame.axes(x, y, "finished trials", objective.name), *dots]
    body += [steps(curve, frame.x[1], "line best")] if curve else []
    return figure(
        f"{objective.name} ({objective.goal}) and the incumbent",
        frame.drawing(title, *body),
        note=note,
        keys=[
            key(line((1, 7), (19, 7), "line best"), "best so far"),
            key(dot(10, 7, "complete"), "complete"),
            key(dot(10, 7, "pruned"), "pruned"),
            *(
                [key(dot(10, 7, "outside"), "exceeds a constraint")]
                if subject.spec.constraints
                else []
            ),
        ],
    )


def _class(subject: Subject, at: int) -> str:
    return subject.states[at] if subject.feasible[at] else "outside"


def _best(subject: Subject, order: list[tuple[int, int]]) -> list[tuple[int, int]]:
    best: list[tuple[int, int]] = []
    least = math.inf
    for turn, at in order:
        if subject.loss(at) < least:
            least = subject.loss(at)
            best.append((turn, at))
    return best


def front(subject: Subject) -> Markup:
    """Each pair of objectives, with the Pareto front of all."""
    count = len(subject.spec.objectives)
    pairs = list(itertools.combinations(range(count), 2))
    charts = [_pair(subject, one, other) for one, other in pairs[:PAIRS]]
    left = len(pairs) - len(charts)
    note = f"{counted(left, 'more pair')} of objectives not drawn." if left else ""
    return join(
        [
            element("div", *charts, class_="grid2" if len(charts) > 1 else None),
            element("p", note, class_="note"),
        ]
    )


def _pair(subject: Subject, one: int, other: int) -> Markup:
    first, second = subject.values(one), subject.values(other)
    numbers = subject.column("number")
    known = [
        at for at in range(len(first)) if math.isfinite(first[at]) and math.isfinite(second[at])
    ]
    names = [subject.spec.objectives[index].name for index in (one, other)]
    caption = f"{names[1]} against {names[0]}"
    if not known:
        return figure(caption, element("p", "No trial has a result yet."))
    frame = Frame() if len(subject.spec.objectives) == 2 else Frame(width=560, height=360)
    x = scale_of((first[at] for at in known), *frame.x)
    y = scale_of((second[at] for at in known), *frame.y)
    members = subject.chronicle.front
    drawn = favouring(known, DOTS, lambda at: (numbers[at] not in members, at), FAVOURED)
    others = [
        dot(x.at(first[at]), y.at(second[at]), _class(subject, at), subject.tip(at))
        for at in drawn
        if numbers[at] not in members
    ]
    best = sorted((first[at], second[at], at) for at in drawn if numbers[at] in members)
    marks = [mark("diamond", x.at(a), y.at(b), "best", subject.tip(at)) for a, b, at in best]
    body = [frame.axes(x, y, *names), *others]
    if len(subject.spec.objectives) == 2 and len(best) > 1:
        body.append(path([(x.at(a), y.at(b)) for a, b, _ in best], "line best"))
    goals = ", ".join(f"{each.goal} {each.name}" for each in subject.spec.objectives)
    note = shown_text(drawn, known, "trial", "those of the front, and others at even distances")
    far = outside(x, (first[at] for at in known)) + outside(y, (second[at] for at in known))
    note += f" {counted(far, 'value')} beyond an axis drawn at its edge." if far else ""
    return figure(
        caption,
        frame.drawing(f"{caption}: {len(best)} of {len(known)} trials on the front", *body, *marks),
        note=note,
        keys=[
            key(mark("diamond", 10, 7, "best"), f"on the front ({goals})"),
            key(dot(10, 7, "complete"), "complete"),
            *(
                [key(dot(10, 7, "outside"), "exceeds a constraint")]
                if subject.spec.constraints
                else []
            ),
        ],
    )


def progress(subject: Subject) -> Markup:
    """The one or the other, as there are objectives."""
    return front(subject) if len(subject.spec.objectives) > 1 else incumbents(subject)
