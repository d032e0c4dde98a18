"""How the best value came about, or the Pareto front of several objectives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from sweep.quantity import counted, duration_text, text
from sweep.report.chart import Frame, dot, figure, key, line, mark, path, steps
from sweep.report.clock import Clock
from sweep.report.element import Markup, element, join
from sweep.report.scale import Numbers, outside, scale_of
from sweep.report.subject import Subject
from sweep.report.thinning import favouring, shown_text
from sweep.spec import Goal

DOTS = 1500
"""So many trials are drawn in a chart."""

FAVOURED = 300
"""So many of these are the best."""

PAIRS = 6
"""So many pairs of objectives are drawn."""


@dataclass(frozen=True, slots=True)
class Course:
    """Where in a chart the trials of a study lie, in the order in which they ended."""

    x: Numbers
    label: str
    places: list[tuple[float, int]]
    """The value on the axis, and the place of the trial."""

    @classmethod
    def by_trial(cls, subject: Subject, frame: Frame, count: int | None = None) -> Course:
        """One behind another; the axis ends at ``count`` of them."""
        places = [(float(turn), at) for turn, at in enumerate(_ended(subject), 1)]
        last = max(1, len(places) if count is None else count)
        x = Numbers(0, last, *frame.x, label="{:,.0f}".format, count=10, whole=True)
        return cls(x, "finished trials", places)

    @classmethod
    def by_time(cls, subject: Subject, frame: Frame, total: float | None = None) -> Course:
        """By the time of the drivers; the axis ends after ``total`` seconds of it."""
        clock, ends = Clock(subject), subject.trials["finished"]
        places = [(clock.at(ends.iloc[at].timestamp()), at) for at in _ended(subject)]
        last = clock.total if total is None else total
        x = Numbers(0, last or 1.0, *frame.x, label=duration_text, count=10)
        return cls(x, "time of the drivers", places)

    def best(self, subject: Subject) -> list[tuple[float, float]]:
        """Where on the axis the best value so far became which."""
        best: list[tuple[float, float]] = []
        values, least = subject.values(0), math.inf
        for value, at in self.places:
            if subject.loss(at) < least:
                least = subject.loss(at)
                best.append((value, values[at]))
        return best


def _ended(subject: Subject) -> list[int]:
    ends = subject.trials["finished"]
    return sorted(subject.results, key=lambda at: ends.iloc[at])


def incumbents(subject: Subject) -> Markup:
    """Values as they came to be known, and the best of them so far: by trials, and by time."""
    if not subject.results:
        return element("p", "No trial has a result yet.")
    wide, low = Frame(), Frame(height=230)
    return join(
        [
            _incumbents(subject, Course.by_trial(subject, wide), wide, DOTS),
            _incumbents(subject, Course.by_time(subject, low), low, DOTS // 3),
        ]
    )


def _incumbents(subject: Subject, course: Course, frame: Frame, limit: int) -> Markup:
    values, known = subject.values(0), course.places
    y = scale_of((values[at] for _, at in known), *frame.y)
    drawn = favouring(known, limit, lambda pair: subject.loss(pair[1]), FAVOURED)
    dots = [
        dot(course.x.at(when), y.at(values[at]), _class(subject, at), subject.tip(at))
        for when, at in drawn
    ]
    best = course.best(subject)
    curve = [(course.x.at(when), y.at(value)) for when, value in best]
    objective = subject.spec.objective
    note = shown_text(drawn, known, "trial", "the best, and others at even distances")
    far = outside(y, (values[at] for _, at in known))
    note += f" {counted(far, 'value')} beyond the axis drawn at its edge." if far else ""
    title = f"{objective.name} of {counted(len(known), 'finished trial')} by {course.label}" + (
        f"; the best is {text(best[-1][1])}" if best else ""
    )
    body = [frame.axes(course.x, y, course.label, objective.name), *dots]
    body += [steps(curve, frame.x[1], "line best")] if curve else []
    return figure(
        f"{objective.name} ({objective.goal}) and the incumbent, by {course.label}",
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
        larger = subject.spec.objectives[one].goal is Goal.MAXIMIZE
        border = stairs([(a, b) for a, b, _ in best], larger=larger)
        body.append(path([(x.at(a), y.at(b)) for a, b in border], "line best"))
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


def stairs(front: Sequence[tuple[float, float]], *, larger: bool) -> list[tuple[float, float]]:
    """The border of what ``front``, by its first values, dominates; ``larger`` ones are better."""
    corners = [
        (a, below) if larger else (beyond, b)
        for (a, b), (beyond, below) in itertools.pairwise(front)
    ]
    return [*itertools.chain.from_iterable(zip(front, corners, strict=False)), front[-1]]


def progress(subject: Subject) -> Markup:
    """The one or the other, as there are objectives."""
    return front(subject) if len(subject.spec.objectives) > 1 else incumbents(subject)
