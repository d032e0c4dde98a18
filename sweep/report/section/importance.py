"""How much each parameter matters."""

from __future__ import annotations

from collections.abc import Mapping

from sweep.quantity import counted
from sweep.report.chart import Frame, figure, label, number
from sweep.report.element import Markup, element, join
from sweep.report.naming import short_names
from sweep.report.subject import Subject

BARS = 30
"""So many parameters have a bar."""

ROUGH = 50
"""With fewer trials it is an estimate at best."""


def importance(subject: Subject) -> Markup:
    """Bars for each objective, and of several for the front; or why there are none."""
    if isinstance(subject.importances, str):
        return element("p", f"Not computed: {subject.importances}.")
    return join(_figure(subject, what, shares) for what, shares in subject.importances.items())


def _figure(subject: Subject, what: str, shares: Mapping[str, float]) -> Markup:
    shown = dict(list(shares.items())[:BARS])
    labels = short_names(list(shares), 32)
    frame = Frame(height=26 * len(shown) + 12, left=220, right=70)
    bars = []
    for place, (name, share) in enumerate(shown.items()):
        y = 6 + 26 * place
        width = (frame.x[1] - frame.x[0]) * share / (max(shown.values()) or 1.0)
        bars += [
            label(labels[name], frame.left - 8, y + 14, "end"),
            element(
                "rect",
                x=frame.left,
                y=y,
                width=number(width),
                height=18,
                class_="bar",
                data_tip=name,
            ),
            label(f"{share:.1%}", frame.left + width + 6, y + 14, "start"),
        ]
    count = len(subject.chronicle.values)
    note = f"PED-ANOVA, from {counted(count, 'completed trial')}: what matters for {what}."
    note += " So few give a rough estimate." if count < ROUGH else ""
    note += f" {len(shares) - len(shown)} more not drawn." if len(shares) > len(shown) else ""
    note += subject.shared_note(list(shares))
    title = "; ".join(f"{name} {share:.0%}" for name, share in shown.items())
    caption = "Importance" if len(subject.spec.objectives) == 1 else f"Importance for {what}"
    return figure(caption, frame.drawing(title, *bars), note=note)
