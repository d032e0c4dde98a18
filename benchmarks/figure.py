"""The plot of ``quality.py``: medians and quartiles over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from savings import MARKS, SHOWN, SLOTS, Comparison

mpl.use("Agg")
from matplotlib import pyplot as plt

BLUE, ORANGE = "#0072b2", "#e69f00"  # of Okabe and Ito, told apart by the colour-blind


def draw(
    by_trials: Mapping[tuple[str, str], Mapping[str, Sequence[Sequence[float]]]],
    by_epochs: Mapping[str, Comparison],
    path: str,
) -> None:
    """Panels of what there is: regrets for each table and sampler, losses for each sampler."""
    tables = list(dict.fromkeys(table for table, _ in by_trials))
    heights = [2.6 * len(tables)] * bool(by_trials) + [3.4] * bool(by_epochs)
    figure = plt.figure(figsize=(12.8 if by_trials else 9.0, sum(heights)), layout="constrained")
    parts = iter(figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
    if by_trials:
        _regrets(next(parts), by_trials, tables)
    if by_epochs:
        _epochs(next(parts), by_epochs)
    figure.savefig(path, dpi=72)


def _regrets(
    part: Any,
    found: Mapping[tuple[str, str], Mapping[str, Sequence[Sequence[float]]]],
    tables: Sequence[str],
) -> None:
    samplers = list(dict.fromkeys(sampler for _, sampler in found))
    axes = part.subplots(len(tables), len(samplers), sharex=True, squeeze=False)
    for (table, sampler), curves in found.items():
        panel = axes[tables.index(table)][samplers.index(sampler)]
        for (name, each), colour in zip(curves.items(), (BLUE, ORANGE), strict=True):
            _band(panel, range(1, len(each[0]) + 1), each, colour, "-", name)
        panel.set_yscale("symlog", linthresh=0.01)
        panel.set_title(f"{table}, {sampler}", fontsize=8)
    for panel in axes.flat:
        panel.set_visible(panel.has_data())
    axes[0][0].legend()
    part.supxlabel("trials")
    part.supylabel("regret of the best so far")


def _epochs(part: Any, found: Mapping[str, Comparison]) -> None:
    axes = part.subplots(1, len(found), sharex=True, sharey=True, squeeze=False)
    spent = range(SLOTS, SHOWN + 1, SLOTS)
    for panel, (sampler, each) in zip(axes[0], found.items(), strict=True):
        for traces, colour, line, name in (
            (each.some, BLUE, "-", "asha"),
            (each.whole, ORANGE, "--", "without"),
        ):
            _band(panel, spent, [one.best_after(spent) for one in traces], colour, line, name)
        for mark, side in zip(MARKS, ("bottom", "top"), strict=True):  # the second is the lower
            target = each.targets[mark]
            panel.axhline(target, color="0.5", linewidth=0.8, linestyle=":")
            panel.annotate(f" best of {mark}", (0, target), fontsize=7, va=side)
        panel.set_xlim(left=0)
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter("{x:.1g}")
        panel.set_title(f"learning curves on digits, {sampler}, {SLOTS} slots", fontsize=8)
    axes[0][0].legend()
    part.supxlabel("epochs of all trials")
    part.supylabel("best loss of a finished trial")


def _band(
    panel: Any,
    at: Sequence[int],
    each: Sequence[Sequence[float]],
    colour: str,
    line: str,
    name: str,
) -> None:
    # Until all have a value there is none to show: the quartiles would be those of some seeds.
    low, middle, high = np.quantile(np.array(each), (0.25, 0.5, 0.75), axis=0)
    panel.fill_between(at, low, high, color=colour, alpha=0.25, linewidth=0)
    panel.plot(at, middle, color=colour, linestyle=line, label=name)
