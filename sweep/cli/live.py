"""The live table of a run: a pure rendering of states, and what keeps it on the screen."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweep.cli.output import duration_text, params_text, text
from sweep.cli.standing import front_text
from sweep.driver.plan import Limits
from sweep.journal.event import TrialState
from sweep.journal.state import StudyState, Trial
from sweep.spec import StudySpec

REFRESH_S = 0.25

Row = tuple[StudySpec, Limits, StudyState]


class LiveView:
    """Keeps `render` of the newest state on the screen."""

    def __init__(self) -> None:
        self._live = Live(
            console=Console(highlight=False, markup=False), auto_refresh=False, transient=True
        )
        self._due = 0.0

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def refresh(self, rows: Sequence[Row]) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + REFRESH_S
            self._live.update(render(rows, time.time()), refresh=True)

    def print_above(self, line: str) -> None:
        self._live.console.print(line, highlight=False, markup=False)


def render(rows: Sequence[Row], now: float) -> RenderableType:
    """Two tables: studies with their progress and incumbents, and what each slot does."""
    return Group(_studies(rows, now), Text(""), _slots(rows, now))


def _studies(rows: Sequence[Row], now: float) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    paused = ["paused"] if any(state.paused for _, _, state in rows) else []
    bar = 8 if paused else 16  # so that all has room at 80 columns
    for name in ("study", "trials", "", *paused, "pruned", "failed", "left", "best", "parameters"):
        right = name in ("trials", "paused", "pruned", "failed", "left")
        table.add_column(
            name,
            justify="right" if right else "left",
            no_wrap=name != "parameters",
            overflow="ellipsis" if name == "parameters" else "fold",
        )
    for spec, limits, state in rows:
        best = state.best
        table.add_row(
            spec.name,
            f"{state.finished}/{limits.total + state.forks}",
            ProgressBar(total=limits.total + state.forks, completed=state.finished, width=bar),
            *(str(len(state.paused)) for _ in paused),
            str(state.counts[TrialState.PRUNED]),
            str(state.counts[TrialState.FAILED]),
            duration_text(time_left(state, limits, now)),
            _best(spec, state),
            "" if best is None else params_text(spec.space.searched(best.params)),
        )
    return table


def _best(spec: StudySpec, state: StudyState) -> str:
    if state.several:
        return front_text(state)
    if state.best is None:
        return "-"
    return f"{spec.objective.name} {text(state.best.value)} (trial {state.best.number})"


def _slots(rows: Sequence[Row], now: float) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for name in ("slot", "trial", "step", "rate", "since", "value"):
        table.add_column(name, justify="left" if name == "trial" else "right", min_width=5)
    table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)
    executing = [
        (spec, trial)
        for spec, _, state in rows
        for trial in state.running.values()
        if trial.executing
    ]
    for slot, (spec, trial) in enumerate(executing):
        step = trial.step
        report = None if step is None else trial.reports[step]
        table.add_row(
            str(slot),
            _trial_text(spec.name, trial),
            text(step),
            rate_text(trial, now),
            duration_text(now - (trial.dispatched or now)),
            text(None if report is None else report.value),
            params_text(spec.space.searched(trial.params)),
        )
    return table


def _trial_text(study: str, trial: Trial) -> str:
    """``digits/7``, and of a fork the checkpoint that it began at: ``digits/7 < 3@5.100``."""
    name = f"{study}/{trial.number}"
    return name if trial.fork is None else f"{name} < {trial.fork.source}"


def rate_text(trial: Trial, now: float) -> str:
    """Reports a second in this attempt, or seconds for each where they are slow."""
    made = sum(report.attempt == trial.attempts for report in trial.reports.values())
    spent = now - (trial.dispatched or now)
    if not made or spent <= 0:
        return "-"
    rate = made / spent
    return f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f}s"


def time_left(state: StudyState, limits: Limits, now: float) -> float | None:
    """Seconds until the study is complete, if trials go on taking what they took so far."""
    done = [trial.duration for trial in state.trials.values() if trial.finished is not None]
    slots = sum(trial.executing for trial in state.running.values())
    if not done or not slots:
        return None
    mean = sum(done) / len(done)
    spent = sum(
        min(mean, trial.duration + now - (trial.dispatched or now))
        for trial in state.running.values()
        if trial.executing
    )
    return max(0.0, (limits.total + state.forks - len(done)) * mean - spent) / slots
