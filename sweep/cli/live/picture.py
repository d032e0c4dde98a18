"""A view as lines for a terminal of any size: none is too wide, and there are not too many."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from sweep.cli.live.grid import Column, grid
from sweep.cli.live.section import Section, fit
from sweep.cli.live.sparkline import ASCII, BLOCKS, sparkline, thinned
from sweep.cli.live.view import RUNNING, FailureLine, SlotLine, StudyLine, View
from sweep.cli.output import duration_text, params_text, text
from sweep.quantity import counted

WIDE = 110
"""From so many columns on all of a study stands in one line."""
CURVE = 16
"""Characters of an incumbent's curve."""

_STUDIES = [
    Column("study", least=8),
    Column("", spare=2),
    Column("trials", right=True),
    Column("paused", right=True, spare=4),
    Column("pruned", right=True, spare=3),
    Column("failed", right=True, spare=1),
    Column("left", right=True),
    Column("best", least=8),
]
_WIDER = [Column("incumbent", spare=5), Column("parameters", least=10, spare=6)]
_SLOTS = [
    Column("slot", right=True, spare=1),
    Column("trial", least=8),
    Column("", spare=4),
    Column("steps", right=True),
    Column("rate", right=True, spare=2),
    Column("since", right=True),
    Column("value", right=True),
    Column("parameters", least=10, spare=5),
]
_FAILURES = [
    Column("failed", least=8),
    Column("attempt", right=True, spare=1),
    Column("ago", right=True, spare=2),
    Column("reason", least=10),
]


class Picture:
    """What rich prints of a view."""

    def __init__(self, view: View, title: str = "", height: int | None = None) -> None:
        """``height`` is in lines; by default that of the terminal."""
        self._view, self._title, self._height = view, title, height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = self._height or options.max_height
        yield from lines(
            self._view, options.max_width, height, title=self._title, plain=options.ascii_only
        )


def lines(
    view: View, width: int, height: int, *, title: str = "", plain: bool = False
) -> list[Text]:
    """A view in ``height`` lines of ``width`` characters at most; ``plain`` takes ASCII only."""
    head = [_cut(Text(title, "sweep.quiet"), width)] if title else []
    studies, slots = view.studies[:height], view.slots[:height]
    sections = [
        Section(
            "study", "studies", *_studies(studies, width, plain), len(view.studies) - len(studies)
        ),
        Section("slot", "slots", *_slots(slots, width, plain), len(view.slots) - len(slots)),
        Section("failure", "failures", *_failures(view, width)),
    ]
    return [*head, *(_cut(line, width) for line in fit(sections, height - len(head)))]


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


_Part = tuple[Text, list[list[Text]]]
"""The line of names of a section, and its items."""


def _studies(studies: Sequence[StudyLine], width: int, plain: bool) -> _Part:
    if not studies:
        return Text("no studies", "sweep.quiet"), []
    wide = width >= WIDE
    zero = {
        name
        for name in ("paused", "pruned", "failed")
        if not any(getattr(line, name) for line in studies)
    }
    if not any(line.incumbents or line.status == RUNNING for line in studies):
        zero.add("incumbent")  # the curves of those that nobody runs are not read
    columns = [*_STUDIES, *(_WIDER if wide else [])]
    places = [place for place, column in enumerate(columns) if column.name not in zero]
    rows = [_study_cells(line, wide, plain) for line in studies]
    head, *firsts = grid(
        [columns[place] for place in places],
        [[row[place] for place in places] for row in rows],
        width,
    )
    if wide:
        return head, [[first] for first in firsts]
    seconds = [_second_line(line, plain) for line in studies]
    return head, [[first, *second] for first, second in zip(firsts, seconds, strict=True)]


def _study_cells(line: StudyLine, wide: bool, plain: bool) -> list[Text]:
    running = line.status == RUNNING
    cells = [
        Text(printable(line.study), "sweep.strong" if running else ""),
        bar(line.finished, line.total, 20 if wide else 10, plain),
        Text("-" if line.total is None else f"{line.finished}/{line.total}"),
        Text(str(line.paused)),
        Text(str(line.pruned)),
        Text(str(line.failed), "sweep.warn" if line.failed else ""),
        _left(line),
        Text(printable(line.error), "sweep.warn") if line.error else Text(_best(line)),
    ]
    if wide:
        cells += [_curve(line, plain), Text(printable(params_text(line.params)))]
    return cells


def _left(line: StudyLine) -> Text:
    if line.status == RUNNING:
        return Text(duration_text(line.left_s))
    calm = line.status in ("complete", "queued", "not begun") or line.status.startswith("reading")
    return Text(line.status, "sweep.quiet" if calm else "sweep.warn")


def _best(line: StudyLine) -> str:
    if line.front is not None:
        return f"{counted(line.front, 'trial')} on the Pareto front"
    if line.best is None:
        return "-"
    return printable(f"{line.metric} {text(line.best)} (trial {line.best_trial})")


def _second_line(line: StudyLine, plain: bool) -> list[Text]:
    if not line.incumbents or line.error:
        return []
    second = Text("  ").append_text(_curve(line, plain))
    second.append("  " + printable(params_text(line.params)), "sweep.quiet")
    return [second]


def _curve(line: StudyLine, plain: bool) -> Text:
    levels = ASCII if plain else BLOCKS
    values = thinned(line.incumbents, CURVE)
    return Text(sparkline(values, best_is_least=line.minimized, levels=levels), "sweep.good")


def _slots(slots: Sequence[SlotLine | None], width: int, plain: bool) -> _Part:
    if not slots:
        return Text(), []
    wide = width >= WIDE
    rows = [_slot_cells(slot, line, wide, plain) for slot, line in enumerate(slots)]
    head, *found = grid(_SLOTS, rows, width)
    return head, [[line] for line in found]


def _slot_cells(slot: int, line: SlotLine | None, wide: bool, plain: bool) -> list[Text]:
    if line is None:
        free = Text("free", "sweep.quiet")
        return [Text(str(slot)), free, *(Text() for _ in _SLOTS[2:])]
    whole = "" if line.steps is None else f"/{'~' if line.estimated else ''}{line.steps}"
    return [
        Text(str(slot)),
        Text(printable(trial_text(line)), "" if line.silent_s is None else "sweep.warn"),
        Text() if line.steps is None else bar(line.done, line.steps, 20 if wide else 10, plain),
        Text(f"{line.done}{whole}" if line.done or whole else "-"),
        _pace(line),
        Text(duration_text(line.since_s)),
        Text(text(line.value)),
        Text(printable(params_text(line.params)), "sweep.quiet"),
    ]


def _pace(line: SlotLine) -> Text:
    if line.silent_s is None:
        return Text(rate_text(line.rate))
    return Text(f"silent {duration_text(line.silent_s)}", "sweep.warn")


def trial_text(line: SlotLine) -> str:
    """``digits/7``, and of a fork the checkpoint that it began at: ``digits/7 < 3@5.100``."""
    name = f"{line.study}/{line.trial}"
    return name if line.source is None else f"{name} < {line.source}"


def rate_text(rate: float | None) -> str:
    """Reports a second, or seconds for each where they are slow."""
    if rate is None:
        return "-"
    return f"{rate:.1f}/s" if rate >= 1 else duration_text(1 / rate)


def _failures(view: View, width: int) -> _Part:
    if not view.failures:
        return Text(), []
    rows = [_failure_cells(each, view.time) for each in view.failures]
    head, *found = grid(_FAILURES, rows, width)
    return head, [[line] for line in found]


def _failure_cells(line: FailureLine, now: float) -> list[Text]:
    often = f" ({line.count} times)" if line.count > 1 else ""
    return [
        Text(printable(f"{line.study}/{line.trial}"), "sweep.warn"),
        Text(str(line.attempt)),
        Text(duration_text(max(0.0, now - line.time))),
        Text(printable(line.reason) + often),
    ]


def bar(done: int, total: int | None, width: int, plain: bool) -> Text:
    """How much is done: thick and thin, so that no colour is needed to tell."""
    full, rest = ("#", "-") if plain else ("━", "─")
    share = min(1.0, done / total) if total else 0.0
    filled = math.floor(share * width)
    return Text(full * filled, "sweep.good").append(rest * (width - filled), "sweep.quiet")


def printable(given: str) -> str:
    """``given`` with nothing in it that would move a terminal's cursor."""
    return "".join(each if each.isprintable() else " " for each in given)
