"""Charts as inline SVG: a frame with axes, and what is drawn in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.report.element import NOTHING, Markup, element, join
from sweep.report.scale import Scale, shortened

WIDTH = 1120
"""Pixels of a chart over the whole page; it shrinks with the window."""

_SHORT = 12
"""Characters of a column's name that is not broken into two lines."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """The rectangle of a chart in which the data lie."""

    width: float = WIDTH
    height: float = 320
    left: float = 70
    right: float = 28
    top: float = 14
    bottom: float = 44

    @property
    def x(self) -> tuple[float, float]:
        """Pixels of the left and the right edge."""
        return self.left, self.width - self.right

    @property
    def y(self) -> tuple[float, float]:
        """Pixels of the lower and the upper edge, as a scale wants them."""
        return self.height - self.bottom, self.top

    def axes(self, x: Scale, y: Scale, x_label: str, y_label: str) -> Markup:
        """Both axes with their ticks, lines behind the data and labels."""
        (left, right), (low, high) = self.x, self.y
        return element(
            "g",
            *(line((left, at), (right, at), "grid") for at, _ in y.ticks()),
            line((left, low), (right, low), "axis"),
            line((left, low), (left, high), "axis"),
            *(label(said, at, low + 16, "middle") for at, said in x.ticks()),
            *(label(said, left - 6, at + 4, "end") for at, said in y.ticks()),
            label(shortened(x_label, 60), (left + right) / 2, self.height - 6, "middle", "name"),
            element(
                "text",
                shortened(y_label, 34),
                class_="name",
                text_anchor="middle",
                transform=f"translate(13 {number((low + high) / 2)}) rotate(-90)",
            ),
            aria_hidden="true",
        )

    def drawing(self, title: str, *children: Any) -> Markup:
        """The SVG. ``title`` says to those who cannot see it what there would be to see."""
        return element(
            "svg",
            *children,
            viewBox=f"0 0 {number(self.width)} {number(self.height)}",
            role="img",
            aria_label=title,
        )


def figure(caption: str, *content: Any, note: str = "", keys: Iterable[Markup] = ()) -> Markup:
    """A drawing with its caption, the meanings of its marks and what was left out."""
    meanings = list(keys)
    return element(
        "figure",
        element("figcaption", caption),
        element("p", *meanings, class_="keys") if meanings else NOTHING,
        *content,
        element("p", note, class_="note") if note else NOTHING,
    )


def number(value: float) -> str:
    """A coordinate: a tenth of a pixel is enough."""
    return f"{value:.1f}".removesuffix(".0")


def label(said: str, x: float, y: float, anchor: str, class_: str | None = None) -> Markup:
    return element("text", said, x=number(x), y=number(y), text_anchor=anchor, class_=class_)


def line(begin: Point, end: Point, class_: str, tip: str | None = None) -> Markup:
    (x1, y1), (x2, y2) = begin, end
    path = f"M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}"
    return element("path", d=path, class_=class_, data_tip=tip)


def path(points: Sequence[Point], class_: str, tip: str | None = None) -> Markup:
    """A line through ``points``."""
    joined = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return element("path", d=f"M{joined}", class_=class_, data_tip=tip)


def steps(points: Sequence[Point], end: float, class_: str) -> Markup:
    """A line that keeps the height of each point up to the next one, and to the x of ``end``."""
    (x, y), *rest = points
    turns = "".join(f"H{number(x)}V{number(y)}" for x, y in rest)
    return element("path", d=f"M{number(x)} {number(y)}{turns}H{number(end)}", class_=class_)


def dot(x: float, y: float, class_: str, tip: str | None = None, radius: float = 3) -> Markup:
    return element(
        "circle", cx=number(x), cy=number(y), r=number(radius), class_=class_, data_tip=tip
    )


_SHAPES = {
    "cross": "m-4-4l8 8m0-8l-8 8",
    "up": "m0-5l5 9h-10z",
    "right": "m-4-4l8 4l-8 4z",
    "diamond": "m0-5l4 5l-4 5l-4-5z",
    "bars": "m-2-4v8m4-8v8",
}


def mark(shape: str, x: float, y: float, class_: str, tip: str | None = None) -> Markup:
    """A small shape, so that what it means does not rest on a colour."""
    d = f"M{number(x)} {number(y)}{_SHAPES[shape]}"
    return element("path", d=d, class_=f"mark {class_}", data_tip=tip)


def key(drawn: Markup, meaning: str) -> Markup:
    """A mark as it is drawn around (10, 7), and what it means."""
    sample = element("svg", drawn, width=20, height=14, aria_hidden="true")
    return element("span", sample, meaning, class_="key")


def table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, sortable: bool = False
) -> Markup:
    """A table; cells are text, `Markup`, or pairs of what is shown and the number to sort by."""
    numeric = [_numeric(rows, place) for place in range(len(columns))]
    named = zip(columns, numeric, strict=True)
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element(
                "thead",
                element("tr", *(_header(*each, sortable=sortable) for each in named)),
            ),
            element("tbody", *(element("tr", *map(_cell, row, numeric)) for row in rows)),
        ),
        class_="table",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _numeric(rows: Sequence[Sequence[Any]], place: int) -> bool:
    return any(isinstance(row[place], tuple) for row in rows)


def _header(name: str, numeric: bool, *, sortable: bool) -> Markup:
    shown = element("button", name, type="button") if sortable else join([name])
    kinds = ["number"] * numeric + ["short"] * (len(name) <= _SHORT)
    return element("th", shown, scope="col", class_=" ".join(kinds) or None)


def _cell(cell: Any, numeric: bool) -> Markup:
    shown, value = cell if isinstance(cell, tuple) else (cell, None)
    said = None if value is None else repr(value)
    return element("td", shown, class_="number" if numeric else None, data_value=said)
