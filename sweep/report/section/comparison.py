"""Studies that optimise the same metric, in one chart: the best value of each so far."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.quantity import counted, text
from sweep.report.chart import Frame, figure, key, line, steps
from sweep.report.clock import Clock
from sweep.report.element import NOTHING, Markup, element, join
from sweep.report.scale import scale_of
from sweep.report.section.progress import Course
from sweep.report.subject import Subject

LINES = 8
"""So many studies are told apart in a chart: there is a class of lines for each."""


def comparison(subjects: Sequence[Subject]) -> Markup:
    """Charts by trials and by time, for each metric that several of ``subjects`` optimise."""
    alike: dict[tuple[str, str], list[Subject]] = {}
    for subject in subjects:
        if len(subject.spec.objectives) == 1 and subject.ranked:
            objective = subject.spec.objective
            alike.setdefault((objective.name, str(objective.goal)), []).append(subject)
    charts = [_charts(*metric, group) for metric, group in alike.items() if len(group) > 1]
    if not charts:
        return NOTHING
    title = element("h2", "Comparison", id="comparison")
    return element("section", title, *charts, aria_labelledby="comparison")


def _charts(name: str, goal: str, subjects: Sequence[Subject]) -> Markup:
    drawn, frame = subjects[:LINES], Frame(height=280)
    count = max(len(each.results) for each in drawn)
    total = max(Clock(each).total for each in drawn)
    by_trial = [Course.by_trial(each, frame, count) for each in drawn]
    by_time = [Course.by_time(each, frame, total) for each in drawn]
    left = len(subjects) - len(drawn)
    note = f"{counted(left, 'more study', 'more studies')} not drawn." if left else ""
    return join(
        [
            _chart(f"best {name} so far ({goal})", name, drawn, courses, frame, note)
            for courses in (by_trial, by_time)
        ]
    )


def _chart(
    caption: str,
    name: str,
    subjects: Sequence[Subject],
    courses: Sequence[Course],
    frame: Frame,
    note: str,
) -> Markup:
    bests = [course.best(subject) for course, subject in zip(courses, subjects, strict=True)]
    x, label = courses[0].x, courses[0].label
    y = scale_of((value for best in bests for _, value in best), *frame.y)
    lines, keys = [], []
    for place, (subject, course, best) in enumerate(zip(subjects, courses, bests, strict=True)):
        kind = f"line study{place}"
        last = course.places[-1][0]
        lines.append(steps([(x.at(at), y.at(value)) for at, value in best], x.at(last), kind))
        said = f"{subject.name}: {text(best[-1][1])}"
        keys.append(key(line((1, 7), (19, 7), kind), said))
    title = f"{caption} of {counted(len(subjects), 'study', 'studies')} by {label}"
    drawing = frame.drawing(title, frame.axes(x, y, label, name), *lines)
    return figure(f"{caption}, by {label}", drawing, note=note, keys=keys)
