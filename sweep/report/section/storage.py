"""Checkpoints and their bytes over time."""

from __future__ import annotations

from sweep.quantity import bytes_text, counted, duration_text
from sweep.report.chart import Frame, figure, key, line, steps
from sweep.report.clock import Clock
from sweep.report.element import Markup, element
from sweep.report.scale import Numbers
from sweep.report.subject import Subject
from sweep.report.thinning import evenly

POINTS = 1500
"""So many changes are drawn in a line."""

Line = list[tuple[float, float]]


def storage(subject: Subject) -> Markup:
    """How many checkpoints were kept, what they name, and what was written for them."""
    frame = subject.checkpoints
    if not len(frame) or not subject.chronicle.sessions:
        return element("p", "No checkpoint was saved.")
    clock = Clock(subject)
    changes: list[tuple[float, int, float, float]] = []
    rows = frame[["saved", "retired", "bytes", "new_bytes"]].astype(object)
    for saved, retired, size, new in rows.itertuples(index=False):
        full, fresh = _known(size), _known(new)
        changes.append((clock.at(saved.timestamp()), 1, full, fresh))
        if retired is not None and retired == retired:
            changes.append((clock.at(retired.timestamp()), -1, -full, 0.0))
    changes.sort(key=lambda each: each[0])
    count, kept, written = 0, 0.0, 0.0
    lines: tuple[Line, Line, Line] = ([], [], [])
    for time, one, full, fresh in changes:
        count, kept, written = count + one, kept + full, written + fresh
        for known, value in zip(lines, (count, kept, written), strict=True):
            known.append((time, float(value)))
    return element(
        "div",
        _chart("Checkpoints that are kept", clock.total, [(lines[0], "best", "kept")], sizes=False),
        _chart(
            "Bytes",
            clock.total,
            [
                (lines[1], "best", "named by the kept ones, before deduplication"),
                (lines[2], "second", "written so far"),
            ],
            sizes=True,
        ),
        class_="grid2",
    )


def _chart(
    caption: str, total: float, lines: list[tuple[Line, str, str]], *, sizes: bool
) -> Markup:
    frame = Frame(width=560, height=260)
    top = max(value for known, _, _ in lines for _, value in known)
    x = Numbers(0, total or 1.0, *frame.x, label=duration_text, count=5)
    y = Numbers(
        0,
        (top or 1.0) * 1.05,
        *frame.y,
        label=(lambda value: bytes_text(int(value))) if sizes else (lambda value: f"{value:,.4g}"),
    )
    drawn = [
        steps(
            [(x.at(at), y.at(v)) for at, v in evenly(known, POINTS)], frame.x[1], f"line {class_}"
        )
        for known, class_, _ in lines
    ]
    changes = len(lines[0][0])
    ends = ", ".join(f"{said}: {y.label(known[-1][1])} at the end" for known, _, said in lines)
    return figure(
        caption,
        frame.drawing(f"{caption}; {ends}", frame.axes(x, y, "time of the drivers", ""), *drawn),
        note=f"{POINTS:,} of {counted(changes, 'change')} are drawn." if changes > POINTS else "",
        keys=[key(line((1, 7), (19, 7), f"line {class_}"), said) for _, class_, said in lines],
    )


def _known(size: object) -> float:
    return float(size) if isinstance(size, int) else 0.0
