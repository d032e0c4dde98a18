"""The live table: what it says of a state, at the widths that terminals have."""

from __future__ import annotations

import io
import math
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sweep.cli.live.picture import lines, rate_text
from sweep.cli.live.progress import KEPT, Progress, time_left
from sweep.cli.live.screen import SHARE, Screen
from sweep.cli.live.slots import Slots
from sweep.cli.live.sparkline import sparkline, thinned
from sweep.cli.live.view import FAILURES, RECENT, FailureLine, Subject, View, rate, view
from sweep.cli.observer import LiveObserver, PlainObserver, make_observer
from sweep.cli.output import Output, duration_text
from sweep.driver.plan import Limits
from sweep.journal.event import (
    AttemptFailed,
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
    TrialPromoted,
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


def lines_of(seen: View, width: int = 120, height: int = 40, *, plain: bool = False) -> list[str]:
    return [line.plain for line in lines(seen, width, height, plain=plain)]


def followed(study: StudyState, spec: StudySpec = SPEC, name: str = "digits") -> Subject:
    return Subject(name, spec, Limits.of(spec), study)


def shown(study: StudyState, width: int = 120, height: int = 40, spec: StudySpec = SPEC) -> str:
    """A picture of a study, 15 s after it began."""
    return "\n".join(lines_of(view([followed(study, spec)], Slots(), 15.0), width, height))


def advance(study: StudyState, *events: Event, time: float = 15.0) -> StudyState:
    for event in events:
        apply(study, Entry(seq=study.seq + 1, time=time, event=event))
    return study


def crowd(studies: int, slots: int) -> View:
    """More than a terminal has room for, some of it of awkward width."""
    seen = view([followed(state())], Slots(), 15.0)
    study, slot = seen.studies[0], seen.slots[0]
    assert slot is not None
    return View(
        time=15.0,
        studies=[replace(study, study=f"学习-{each}" + "x" * each) for each in range(studies)],
        slots=[replace(slot, slot=each) for each in range(slots)] + [None],
        failures=[
            FailureLine(
                study="digits",
                trial=each,
                attempt=2,
                time=5.0,
                reason="boom \x1b[2J" * 9,
                count=each,
            )
            for each in range(FAILURES)
        ],
    )


@pytest.mark.parametrize("width", [80, 120, 200])
def test_table_says_what_matters_at_every_width(width: int) -> None:
    """Progress, incumbent and slots are readable, and no line is wider than the terminal."""
    text = shown(state(), width)
    for word in ("digits", "1/4", "accuracy 0.5", "digits/1", "0.75", "lr=0.125"):
        assert word in text
    assert "epochs=10" not in text


@pytest.mark.parametrize("width", [1, 20, 40, 80, 120, 200])
@pytest.mark.parametrize("height", [1, 2, 3, 6, 10, 24, 50, 500])
@pytest.mark.parametrize("plain", [False, True])
def test_a_picture_fits(width: int, height: int, plain: bool) -> None:
    """No line is wider than the terminal, and there are not more of them, whatever there is."""
    for studies, slots in ((0, 0), (1, 1), (5, 3), (60, 200)):
        found = lines(crowd(studies, slots), width, height, title="runs", plain=plain)
        assert len(found) <= height
        assert all(line.cell_len <= width for line in found)
        assert all(line.plain.isprintable() for line in found)
        if plain and not studies:
            assert all(line.plain.isascii() or "\u2026" in line.plain for line in found)


def test_what_has_no_room_is_counted() -> None:
    """Every part keeps a share of the lines, and says how much of it is not there."""
    found = lines_of(crowd(20, 30), 80, 24)
    assert len(found) == 24
    said = [re.fullmatch(r"\.\.\. and (\d+) more (.*)", line) for line in found]
    left = {each[2]: int(each[1]) for each in said if each}
    assert left["studies"] == 20 - sum("\u5b66" in line for line in found)
    assert left["slots"] == 31 - sum("digits/1 " in line and "lr=" in line for line in found)
    assert sum("boom" in line for line in found) == FAILURES
    assert "more" not in "".join(lines_of(crowd(20, 30), 80, 100))


def test_a_second_line_is_given_up_first() -> None:
    """The parameters of the best go before a study or a slot does."""
    seen = crowd(8, 8)
    assert any(line.startswith("  ") and "lr" in line for line in lines_of(seen, 80, 34))
    tight = lines_of(seen, 80, 24)
    assert sum("\u5b66" in line for line in tight) == 8


def test_a_fork_says_where_it_began() -> None:
    first = CheckpointSaved(trial=0, attempt=1, step=0, checkpoint="0@1.0", record={})
    forked = TrialForked(
        trial=2, parent=0, source="0@1.0", step=0, checkpoint="2@1.0", record={},
        params={"lr": 0.5, "epochs": 10}, latents={}, inside=True, exploits=1,
    )  # fmt: skip
    begun = TrialDispatched(trial=2, attempt=1, session=1, checkpoint="2@1.0")
    assert "digits/2 < 0@1.0" in shown(advance(state(), first, forked, begun))


def pause(study: StudyState) -> StudyState:
    reached = TrialReported(trial=1, attempt=1, step=2, value=0.7, metrics={}, prune=None, rung=3)
    paused = TrialPaused(trial=1, attempt=1, step=2, value=0.7, checkpoint=None, rung=3)
    return advance(study, reached, paused)


def test_paused_trials_are_counted_where_there_are_any() -> None:
    """A study whose trials are paused says how many are, and others give no room to it."""
    assert "paused" not in shown(state(), 80)
    text = shown(pause(state()), 80)
    assert "paused" in text
    assert "digits/1" not in text  # it holds no slot


def test_curves_have_room_where_one_is_known_or_may_come() -> None:
    """Studies that are looked at when they have ended have none, and no empty column."""
    idle = replace(view([followed(state())], Slots(), 15.0).studies[0], status="complete")
    for line, room in (
        (idle, True),
        (replace(idle, incumbents=()), False),
        (replace(idle, incumbents=(), status="running"), True),
    ):
        seen = View(time=15.0, studies=[line], slots=[], failures=[])
        assert ("incumbent" in lines_of(seen)[0]) == room


def test_time_left_counts_what_runs() -> None:
    """Three trials of about 10 s are left, 5 s of one are done, on one slot: 25 s."""
    limits, study = Limits.of(SPEC), state()
    assert time_left(study, limits, Progress(study), 15.0) == pytest.approx(25.0)
    assert time_left(StudyState(), limits, Progress(StudyState()), 15.0) is None


def test_time_left_after_failures_pauses_and_kills() -> None:
    """A failed and a paused trial count with what they took; a killed one keeps what it had."""
    limits = Limits.of(SPEC)
    paused = pause(state())  # of the 10 s and the 5 s a mean of 7.5 s
    assert time_left(paused, limits, Progress(paused), 15.0) is None  # nothing is executed
    begun = TrialDispatched(trial=2, attempt=1, session=1, checkpoint=None)
    advance(paused, asked(2), begun)
    assert time_left(paused, limits, Progress(paused), 15.0) == pytest.approx(15.0)
    lost = AttemptFailed(trial=2, attempt=1, reason="r", error="")
    failed = TrialFinished(trial=2, attempt=1, state=TrialState.FAILED, value=None, checkpoint=None)
    advance(paused, lost, failed, time=18.0)  # 3 s: a mean of 6 s
    again = TrialDispatched(trial=3, attempt=1, session=1, checkpoint=None)
    advance(paused, asked(3), again, time=18.0)
    assert time_left(paused, limits, Progress(paused), 18.0) == pytest.approx(6.0)
    killed = state()  # trial 1 had run for 4 s when it was last heard of
    restarted = DriverStarted(session=2, host="", pid=2, versions={})
    resumed = TrialDispatched(trial=1, attempt=2, session=2, checkpoint=None)
    advance(killed, restarted, resumed, time=100.0)
    assert time_left(killed, limits, Progress(killed), 101.0) == pytest.approx(25.0)


def test_time_left_is_no_longer_than_the_timeout() -> None:
    study = state()
    limits = replace(Limits.of(SPEC), timeout=20.0)
    assert time_left(study, limits, Progress(study), 15.0) == pytest.approx(5.0)


@settings(max_examples=30, deadline=None)
@given(chosen=st.lists(st.sampled_from(["finish", "pause", "promote", "ask"]), max_size=30))
def test_progress_is_the_same_however_it_came_about(chosen: list[str]) -> None:
    """What is kept from entry to entry is what the state says as a whole."""
    study = state()
    followed_along, seq = Progress(study), 0
    for seq, what in enumerate(chosen):
        running, paused = list(study.running), list(study.paused)
        events: list[Event] = []
        if what == "ask":
            number = len(study.trials)
            begun = TrialDispatched(trial=number, attempt=1, session=1, checkpoint=None)
            events = [asked(number), begun]
        elif what == "promote" and paused:
            again = TrialDispatched(trial=paused[0], attempt=2, session=1, checkpoint=None)
            events = [TrialPromoted(trial=paused[0], rung=3), again]
        elif what == "pause" and running:
            reached = TrialReported(
                trial=running[0], attempt=1, step=2, value=0.7, metrics={}, prune=None, rung=3
            )
            paused_now = TrialPaused(
                trial=running[0], attempt=1, step=2, value=0.7, checkpoint=None, rung=3
            )
            events = [reached, paused_now]
        elif what == "finish" and running:
            events = [TrialFinished(trial=running[0], attempt=1, state=TrialState.COMPLETE,
                                    value=0.5, checkpoint=None)]  # fmt: skip
        for event in events:
            entry = Entry(seq=study.seq + 1, time=20.0 + seq, event=event)
            apply(study, entry)
            followed_along.follow(study, entry)
    whole = Progress(study)
    assert followed_along.mean_s == pytest.approx(whole.mean_s)
    assert followed_along.steps == whole.steps


def test_rate_is_of_this_attempt() -> None:
    """Two reports in 5 s are one every 2.5 s; a long attempt counts what came last."""
    trial = state().trials[1]
    assert rate(trial, 15.0) == pytest.approx(1 / 2.5)
    assert (rate_text(rate(trial, 15.0)), rate_text(rate(trial, 10.5))) == ("2.5s", "4.0/s")
    study = state()
    for step in range(2, 2 + 2 * RECENT):
        advance(study, TrialReported(trial=1, attempt=1, step=step, value=0.5, metrics={},
                                     prune=None), time=1000 + step / 10)  # fmt: skip
    assert rate(study.trials[1], study.time) == pytest.approx(10.0)


def test_a_trial_is_as_long_as_the_longest_before() -> None:
    """Where no rung says how long a trial is, the others say about how long."""
    assert "/~" not in shown(state())
    study = state()
    done = TrialFinished(trial=1, attempt=1, state=TrialState.COMPLETE, value=1.0, checkpoint=None)
    begun = TrialDispatched(trial=2, attempt=1, session=1, checkpoint=None)
    half = TrialReported(trial=2, attempt=1, step=0, value=0.5, metrics={}, prune=None)
    assert "1/~2 " in shown(advance(study, done, asked(2), begun, half))
    asha = {"type": "asha", "max_resource": 8}
    spec = StudySpec.model_validate(SPEC.model_dump(mode="json") | {"early_terminate": asha})
    assert "1/8 " in shown(study, spec=spec)


def test_a_trial_keeps_its_line() -> None:
    """Whoever ends leaves a free line, which the next one that begins takes."""
    slots = Slots()
    a, b, c, d = (("s", number) for number in range(4))
    assert slots.place([a, b, c]) == [a, b, c]
    assert slots.place([a, c]) == [a, None, c]
    assert slots.place([a, c, d]) == [a, d, c]
    assert slots.place([a]) == [a]
    assert slots.place([c, d, a]) == [a, c, d]


def test_failures_are_the_newest_of_each_kind() -> None:
    """What failed alike is one line that counts; a new session begins at none."""
    study = state()
    subject = followed(study)

    def fail(reason: str, time: float) -> None:
        again = TrialDispatched(trial=1, attempt=1, session=1, checkpoint=None)
        for event in (again, AttemptFailed(trial=1, attempt=1, reason=reason, error="")):
            entry = Entry(seq=study.seq + 1, time=time, event=event)
            apply(study, entry)
            subject.progress.follow(study, entry)

    for second, reason in enumerate(["a", "b", "c", "a", "d", "d"]):
        fail(reason, 15.0 + second)
    found = view([subject], Slots(), 30.0).failures
    assert [(each.reason, each.count, each.time) for each in found] == [
        ("d", 2, 20.0), ("a", 2, 18.0), ("c", 1, 17.0)
    ]  # fmt: skip
    text = "\n".join(lines_of(view([subject], Slots(), 30.0), 80, 24))
    assert re.search(r"digits/1 +1 +10.0s  d \(2 times\)", text)
    for number in range(2 * KEPT):
        fail(f"number {number}", 40.0)
    assert len(subject.progress.failures) == KEPT
    restarted = DriverStarted(session=2, host="", pid=2, versions={})
    entry = Entry(seq=study.seq + 1, time=50.0, event=restarted)
    apply(study, entry)
    subject.progress.follow(study, entry)
    assert subject.progress.failures == []


def test_a_study_that_nobody_runs_holds_no_slot() -> None:
    """What a killed driver has left is not shown as if it went on."""
    subject = followed(state())
    subject.running = False
    seen = view([subject], Slots(), 15.0)
    assert seen.slots == []
    assert (seen.studies[0].status, seen.studies[0].left_s) == ("interrupted", None)


@pytest.mark.parametrize(
    ("values", "least", "drawn"),
    [
        ([], False, ""),
        ([None, None], False, "  "),
        ([3.0], True, "\u2585"),
        ([0.0, 1.0, 2.0], False, "\u2581\u2585\u2588"),
        ([2.0, 1.0, 0.0], True, "\u2581\u2585\u2588"),
        ([None, 1000.0, 20.0, 0.1], True, " \u2581\u2584\u2588"),
        ([-1000.0, -20.0, -0.1], False, "\u2581\u2584\u2588"),
        ([float("nan"), 1.0, float("inf"), 2.0], False, " \u2581 \u2588"),
    ],
)
def test_a_curve_rises_with_what_is_better(
    values: list[float | None], least: bool, drawn: str
) -> None:
    """Linear, or by logarithms where the values are far apart; a blank where there is none."""
    assert sparkline(values, best_is_least=least) == drawn


@pytest.mark.parametrize("values", [[-1e308, 0.0, 1e308], [-5e-324, 0.0, 5e-324]])
def test_a_curve_of_any_numbers(values: list[float | None]) -> None:
    """A span that no float can hold, and the least there is: a run does not end for its picture."""
    assert sparkline(values) == "▁▅█"


def test_a_curve_is_thinned_evenly() -> None:
    assert thinned(range(10), 5) == [1, 3, 5, 7, 9]
    assert thinned(range(3), 5) == [0, 1, 2]
    assert thinned([], 5) == []


def cost_of(reports: int, trials: int) -> float:
    """Seconds for a picture, after so many reports of the trial that runs and so many trials."""
    study = state()
    running, done = study.trials[1], study.trials[0]
    running.reports |= dict.fromkeys(range(2, reports), running.reports[1])
    study.trials |= {number: replace(done, number=number) for number in range(2, trials)}
    study.iterations *= trials
    subject, taken = followed(study), []
    for _ in range(20):
        begun_at = time.perf_counter()
        lines_of(view([subject], Slots(), 15.0))
        taken.append(time.perf_counter() - begun_at)
    return min(taken)


def test_the_cost_of_a_picture_does_not_grow() -> None:
    """A hundred thousand reports and trials cost no more: what a driver waits for is bounded."""
    assert cost_of(500_000, 200_000) < 2 * cost_of(10, 10)


def test_pictures_that_cost_much_come_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a driver's time they take `SHARE` at most."""
    subjects = {"digits": followed(state())}
    screen = Screen(Console(file=io.StringIO(), force_terminal=True))
    assert screen.due
    screen.draw(subjects)
    assert not screen.due

    def slow(*given: Any, **more: Any) -> list[Any]:
        time.sleep(0.05)
        return []

    monkeypatch.setattr("sweep.cli.live.screen.lines", slow)
    screen.draw(subjects)
    assert screen.next_in > 0.9 * 0.05 / SHARE


def test_a_picture_that_the_terminal_has_folded_is_wiped() -> None:
    """A terminal that is made narrower has more lines than were drawn: all of them go."""
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True)
    screen, subjects = Screen(console), {"digits": followed(state())}
    screen.draw(subjects)
    assert max(screen.lengths) > 30
    console.width = 100
    screen.draw(subjects)
    assert "\x1b[J" not in console.file.getvalue()
    drawn = screen.lengths
    console.width = 30
    screen.draw(subjects)
    rows = sum(max(1, math.ceil(length / 30)) for length in drawn)
    assert f"\x1b[{rows - 1}F\x1b[J" in console.file.getvalue()


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cursor cannot be moved there is no table."""
    out = Output(False)
    monkeypatch.setenv("TERM", "dumb")
    out.console = Console(force_terminal=True)
    assert type(make_observer(out, inline=False)) is PlainObserver
    monkeypatch.setenv("TERM", "xterm")
    out.console = Console(force_terminal=True)
    assert type(make_observer(out, inline=False)) is LiveObserver


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
    assert "2 trials on the Pareto front" in shown(told, spec=spec)
