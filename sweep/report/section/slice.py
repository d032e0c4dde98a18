"""Slices: each parameter against the objective."""

from __future__ import annotations

from sweep.quantity import counted
from sweep.report.chart import Frame, dot, figure, key
from sweep.report.element import Markup, element, join
from sweep.report.naming import short_names
from sweep.report.scale import Names, outside, scale_of, value_scale
from sweep.report.subject import Subject
from sweep.report.thinning import favouring, shown_text
from sweep.spec.domain import Continuous, Normal, Quantized, Whole

DOTS = 800
"""So many trials are drawn for each parameter."""

DOTS_OF_ALL = 8000
"""So many dots are drawn where there are many parameters."""

FAVOURED = 200
"""So many of these are the best."""

CAPTION = 44
"""So many characters of a name are above a slice."""

SLICES = 24
"""So many parameters have one."""


def slices(subject: Subject) -> Markup:
    """A small chart for each parameter that is searched."""
    values, known = subject.values(0), subject.results
    if not known or not subject.searched:
        return nothing_drawn(subject)
    names = subject.ordered[:SLICES]
    labels = short_names(subject.ordered, CAPTION)
    limit = min(DOTS, DOTS_OF_ALL // len(names))
    drawn = favouring(known, limit, subject.loss, FAVOURED)
    charts = [_slice(subject, name, labels[name], drawn, values) for name in names]
    hidden = len(subject.searched) - len(charts)
    note = shown_text(drawn, known, "trial", f"the best {FAVOURED}, others at even distances")
    note += f" {counted(hidden, 'more parameter')} not drawn." if hidden else ""
    note += subject.shared_note(subject.ordered)
    far = outside(scale_of((values[at] for at in drawn), 0, 1), (values[at] for at in drawn))
    note += f" {counted(far, 'value')} beyond the axis drawn at its edge." if far else ""
    keys = [key(dot(10, 7, "complete"), "complete"), key(dot(10, 7, "pruned"), "pruned")]
    return join(
        [
            element("p", *keys, class_="keys"),
            element("div", *charts, class_="grid3"),
            element("p", note, class_="note"),
        ]
    )


def nothing_drawn(subject: Subject) -> Markup:
    """Why no parameter can be drawn against the objective."""
    lacking = "No parameter is searched." if subject.results else "No trial has a result yet."
    return element("p", lacking)


def _slice(
    subject: Subject, name: str, caption: str, places: list[int], values: list[float]
) -> Markup:
    params = subject.param(name)
    having = [at for at in places if params[at] is not None]
    frame = Frame(width=368, height=230, left=62, right=12)
    x = value_scale([params[at] for at in having], *frame.x, log=log_of(subject, name))
    y = scale_of((values[at] for at in places), *frame.y)
    spread = (frame.x[1] - frame.x[0]) / len(x.names) * 0.6 if isinstance(x, Names) else 0.0
    dots = [
        dot(
            x.at(params[at]) + spread * (at * 0.618 % 1 - 0.5),
            y.at(values[at]),
            subject.states[at] if subject.feasible[at] else "outside",
            subject.tip(at),
            2.5,
        )
        for at in having
    ]
    objective = subject.spec.objective.name
    title = f"{objective} against {name}, {counted(len(having), 'trial')}"
    return figure(caption, frame.drawing(title, frame.axes(x, y, "", objective), *dots))


def log_of(subject: Subject, name: str) -> bool | None:
    """Whether the space draws a parameter on a logarithmic scale; None where it does not say."""
    if subject.spec.space_function is not None:
        return None
    found = [each.domain for each in subject.spec.space.dimensions if each.name == name]
    domain = found[0] if found else None
    if isinstance(domain, Quantized):
        domain = domain.inner
    return domain.log if isinstance(domain, Whole | Continuous | Normal) else None
