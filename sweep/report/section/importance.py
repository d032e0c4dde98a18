"""How much each parameter matters."""

from __future__ import annotations

from sweep.quantity import counted
from sweep.report.chart import Frame, figure, label, number
from sweep.report.element import Markup, element
from sweep.report.scale import shortened
from sweep.report.subject import Subject

BARS = 30
"""So many parameters have a bar."""

ROUGH = 50
"""With fewer trials it is an estimate at best."""


def importance(subject: Subject) -> Markup:
    """Bars, or why there are none."""
    from sweep.search.importance import importances  # start-up: Optuna, only where it is needed

    chronicle = subject.chronicle
    try:
        shares = importances(subject.spec, chronicle.latents, chronicle.values)
    except ValueError as error:
        return element("p", f"Not computed: {error}.")
    shown = dict(list(shares.items())[:BARS])
    frame = Frame(height=26 * len(shown) + 12, left=220, right=70)
    bars = []
    for place, (name, share) in enumerate(shown.items()):
        y = 6 + 26 * place
        width = (frame.x[1] - frame.x[0]) * share / (max(shown.values()) or 1.0)
        bars += [
            label(shortened(name, 32), frame.left - 8, y + 14, "end"),
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
    count = len(chronicle.values)
    what = "the objective" if len(subject.spec.objectives) == 1 else "reaching the Pareto front"
    note = f"PED-ANOVA, from {counted(count, 'completed trial')}: what matters for {what}."
    note += " So few give a rough estimate." if count < ROUGH else ""
    note += f" {len(shares) - len(shown)} more not drawn." if len(shares) > len(shown) else ""
    title = "; ".join(f"{name} {share:.0%}" for name, share in shown.items())
    return figure("Importance", frame.drawing(title, *bars), note=note)
