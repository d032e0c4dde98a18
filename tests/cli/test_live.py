"""The live table: what it says of a state, at the widths that terminals have."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from sweep.cli.live import rate_text, render, time_left
from sweep.cli.output import duration_text
from sweep.driver.plan import Limits
from sweep.journal.event import (
    CheckpointSaved,
    DriverStarted,
    Entry,
    Event,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialForked,
    TrialPaused,
    TrialReported,
    TrialState,
    TrialTold,
)
from sweep.journal.fold import apply, fold
from sweep.journal.state import StudyState
from sweep.spec import StudySpec

SPEC = StudySpec.model_validate(
    {
        "name": "digits",
        "program": "m:f",
        "method": "random",
        "metric": {"name": "accuracy", "goal": "maximize"},
        "parameters": {
            "lr": {"min": 0.0, "max": 1.0},
            "a_rather_long_name": {"min": 0.0, "max": 1.0},
            "epochs": {"value": 10},
        },
        "trials": 4,
    }
)


def asked(number: int) -> TrialAsked:
    params: dict[str, Any] = {"lr": 0.125, "a_rather_long_name": 0.5, "epochs": 10}
    return TrialAsked(trial=number, params=params, latents={}, seed=0, wrote={}, told=0, running=[])


def state() -> StudyState:
    """One trial complete after 10 s, and one that has run for 5 s with two reports."""
    timed: list[tuple[float, Event]] = [
        (0.0, StudyCreated(spec=SPEC.model_dump(mode="json"), project="")),
        (0.0, DriverStarted(session=1, host="", pid=1, versions={})),
        (0.0, asked(0)),
        (0.0, TrialDispatched(trial=0, attempt=1, session=1, checkpoint=None)),
        (10.0, TrialFinished(trial=0, attempt=1, state=TrialState.COMPLETE, value=0.5,
                             checkpoint=None)),
        (10.0, TrialTold(trial=0, value=0.5, checkpoint=None, iteration=0, best_trial=0,
                         best_value=0.5, wrote={})),
        (10.0, asked(1)),
        (10.0, TrialDispatched(trial=1, attempt=1, session=1, checkpoint=None)),
        (12.0, TrialReported(trial=1, attempt=1, step=0, value=0.25, metrics={}, prune=None)),
        (14.0, TrialReported(trial=1, attempt=1, step=1, value=0.75, metrics={}, prune=None)),
    ]  # fmt: skip
    return fold(Entry(seq=seq, time=time, event=event) for seq, (time, event) in enumerate(timed))


@pytest.mark.parametrize("width", [80, 120, 200])
def test_table_says_what_matters_at_every_width(width: int) -> None:
    """Progress, incumbent and slots are readable, and no line is wider than the terminal."""
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(render([(SPEC, Limits.of(SPEC), state())], now=15.0))
    text = capture.get()
    assert all(len(line) <= width for line in text.splitlines())
    for word in ("digits", "1/4", "accuracy 0.5", "digits/1", "0.75", "lr=0.125"):
        assert word in text
    assert "epochs=10" not in text


def test_a_fork_says_where_it_began() -> None:
    shown = state()
    first = CheckpointSaved(trial=0, attempt=1, step=0, checkpoint="0@1.0", record={})
    forked = TrialForked(
        trial=2, parent=0, source="0@1.0", step=0, checkpoint="2@1.0", record={},
        params={"lr": 0.5, "epochs": 10}, latents={}, inside=True, exploits=1,
    )  # fmt: skip
    begun = TrialDispatched(trial=2, attempt=1, session=1, checkpoint="2@1.0")
    for event in (first, forked, begun):
        apply(shown, Entry(seq=shown.seq + 1, time=14.5, event=event))
    console = Console(width=120, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(render([(SPEC, Limits.of(SPEC), shown)], now=15.0))
    assert "digits/2 < 0@1.0" in capture.get()


def test_paused_trials_are_counted_where_there_are_any() -> None:
    """A study whose trials are paused says how many are, and others give no room to it."""

    def shown(study: StudyState) -> str:
        console = Console(width=80, record=True, file=None, force_terminal=False)
        with console.capture() as capture:
            console.print(render([(SPEC, Limits.of(SPEC), study)], now=15.0))
        return capture.get()

    study = state()
    assert "paused" not in shown(study)
    reached = TrialReported(trial=1, attempt=1, step=2, value=0.7, metrics={}, prune=None, rung=3)
    paused = TrialPaused(trial=1, attempt=1, step=2, value=0.7, checkpoint=None, rung=3)
    for event in (reached, paused):
        apply(study, Entry(seq=study.seq + 1, time=15.0, event=event))
    text = shown(study)
    assert "paused" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "digits/1" not in text  # it holds no slot


def test_time_left_counts_what_runs() -> None:
    """Three trials of about 10 s are left, 5 s of one are done, on one slot: 25 s."""
    assert time_left(state(), Limits.of(SPEC), now=15.0) == pytest.approx(25.0)
    assert time_left(StudyState(), Limits.of(SPEC), now=15.0) is None


def test_rate_is_of_this_attempt() -> None:
    """Two reports in 5 s are one every 2.5 s."""
    assert rate_text(state().trials[1], now=15.0) == "2.5s"
    assert rate_text(state().trials[1], now=10.5) == "4.0/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (8.26, "8.3s"), (125, "2m05s"), (12_000, "3h20m"), (360_000, "4d04h")],
)
def test_durations_are_for_people(seconds: float | None, text: str) -> None:
    """A duration has the two units that matter."""
    assert duration_text(seconds) == text


def test_table_says_how_many_are_on_the_front() -> None:
    """With several metrics there is no best trial, but a Pareto front."""
    metrics = [{"name": "loss"}, {"name": "size"}]
    spec = StudySpec.model_validate(SPEC.model_dump(mode="json") | {"metric": metrics})
    events: list[Event] = [StudyCreated(spec=spec.model_dump(mode="json"), project="")]
    for number, values in enumerate([[1.0, 2.0], [2.0, 1.0]]):
        events += [
            asked(number),
            TrialDispatched(trial=number, attempt=1, session=1, checkpoint=None),
            TrialFinished(trial=number, attempt=1, state=TrialState.COMPLETE, value=values[0],
                          values=values, checkpoint=None),
            TrialTold(trial=number, value=values[0], values=values, checkpoint=None,
                      iteration=number, best_trial=None, best_value=None, wrote={}, entered=True),
        ]  # fmt: skip
    told = fold(Entry(seq=seq, time=0.0, event=event) for seq, event in enumerate(events))
    console = Console(width=120, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(render([(spec, Limits.of(spec), told)], now=15.0))
    assert "2 trials on the Pareto front" in capture.get()
