"""Verdicts on reports: when PRUNE and STOP take effect, and what outlives them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trial_harness import Recorder, Runner, same
from trial_programs import counting

from sweep.checkpoint.record import Kind
from sweep.trial.message import Ended, Reported, Verdict
from sweep.trial.outcome import Outcome, TrialStopped


def test_prune_takes_effect_at_the_end_of_the_epoch(tmp_path: Path) -> None:
    """A verdict on a report within an epoch lets the epoch end, and saves where it ends."""
    seen = []

    def train(trial):
        trial.track()
        for epoch in trial.epochs(5):
            trial.report(loss=1)
            trial.step()
            seen.append(epoch)

    link = Recorder(verdict=lambda report: Verdict.PRUNE if report.step else Verdict.CONTINUE)
    Runner(tmp_path, train, verdicts=True).run(link)
    assert link.ended == Ended(outcome=Outcome.PRUNED)
    assert seen == [0, 1]
    assert [(record.id, record.kind) for record in link.records] == [
        ("3@1.1", Kind.PERIODIC),
        ("3@2.2", Kind.PRUNED),
    ]


def ending(leave: str) -> Callable[[Any], None]:
    """A trial that ends by itself in its first epoch."""

    def train(trial):
        trial.track()
        for _ in trial.epochs(1 if leave == "last epoch" else 5):
            trial.report(loss=1)
            if leave == "return":
                return
            if leave == "break":
                break

    return train


@pytest.mark.parametrize("leave", ["return", "break", "last epoch"])
def test_prune_where_the_function_ends_first(tmp_path: Path, leave: str) -> None:
    """A trial that is pruned in the epoch in which it ends by itself is pruned."""

    link = Recorder(verdict=lambda report: Verdict.PRUNE)
    Runner(tmp_path, ending(leave), verdicts=True).run(link)
    assert link.ended == Ended(outcome=Outcome.PRUNED)
    assert [(record.id, record.kind) for record in link.records] == [("3@1.0", Kind.PRUNED)]


def test_prune_outlives_a_stop(tmp_path: Path) -> None:
    """A trial that is stopped between the verdict and the end of the epoch is pruned at it."""

    def train(trial):
        loader = trial.loader(list(range(4)))
        trial.track()
        for _ in trial.epochs(5):
            for number in loader:
                if number == 1:
                    trial.report(loss=1)
                trial.step()

    runner = Runner(tmp_path, train, verdicts=True)
    stopped = runner.run(Recorder(stop_at=3, verdict=lambda report: Verdict.PRUNE))
    assert stopped.ended.outcome is Outcome.STOPPED
    pruned = runner.run(Recorder(verdict=lambda report: Verdict.CONTINUE))
    assert pruned.ended.outcome is Outcome.PRUNED
    assert pruned.of(Reported) == []
    assert [record.id for record in pruned.records] == ["3@1.4"]


def test_pruned_trial_can_go_on(tmp_path: Path) -> None:
    """Who resumes a pruned trial has it go on, not pruned again by the old verdict."""
    runner = Runner(tmp_path, counting, verdicts=True)
    runner.run(Recorder(verdict=lambda report: Verdict.PRUNE))
    link = runner.run(Recorder())
    assert link.ended.outcome is Outcome.COMPLETE
    assert [message.step for message in link.of(Reported)] == [1, 2]


def test_prune_without_epochs(tmp_path: Path) -> None:
    """Without epochs a report is a safe point, and a pruned trial ends there."""
    seen = []

    def train(trial):
        for value in range(5):
            seen.append(value)
            trial.report(loss=value)

    link = Recorder(verdict=lambda report: Verdict.PRUNE if report.step == 2 else Verdict.CONTINUE)
    Runner(tmp_path, train, verdicts=True).run(link)
    assert link.ended.outcome is Outcome.PRUNED
    assert seen == [0, 1, 2]


def test_verdict_is_asked_only_for_the_metric(tmp_path: Path) -> None:
    """Reports without the study's metric wait for no verdict."""
    asked = []

    def train(trial):
        for _ in trial.epochs(2):
            trial.report(other=1)
            trial.report(loss=2)
            trial.report(more=3)

    def verdict(report):
        asked.append(report.step)
        return Verdict.CONTINUE

    Runner(tmp_path, train, verdicts=True).run(Recorder(verdict=verdict))
    assert asked == [0, 1]
    asked.clear()
    Runner(tmp_path, train, verdicts=False).run(Recorder(verdict=verdict))
    assert asked == []


def test_verdict_may_be_stop(tmp_path: Path) -> None:
    """A verdict can ask for a stop; the trial leaves at its next safe point."""
    link = Recorder(verdict=lambda report: Verdict.STOP)
    Runner(tmp_path, counting, verdicts=True).run(link)
    assert link.ended.outcome is Outcome.STOPPED
    assert [record.kind for record in link.records] == [Kind.STOP]


def test_who_makes_room_keeps_what_it_has_reported(tmp_path: Path) -> None:
    """In an epoch that cannot be gone on with, YIELD waits for its end: else it came for ever."""

    def train(trial):
        trial.track()
        for _ in trial.epochs(3):
            trial.report(loss=1)
            trial.step()
            trial.step()

    runner = Runner(tmp_path, train, verdicts=True)
    for epoch in range(2):
        link = runner.run(Recorder(verdict=lambda report: Verdict.YIELD))
        assert link.ended.outcome is Outcome.STOPPED
        assert [record.kind for record in link.records] == [Kind.STOP]
        assert [message.step for message in link.of(Reported)] == [epoch]


def test_leaving_cannot_be_swallowed(tmp_path: Path) -> None:
    """User code that catches everything is stopped all the same, and cleans up once."""
    cleaned = []

    def train(trial):
        trial.track()
        for _ in range(3):
            try:
                for _ in trial.epochs(3):
                    trial.report(loss=1)
            except Exception:  # noqa: BLE001
                pytest.fail("leaving is no error")
            except BaseException as leaving:  # noqa: BLE001
                cleaned.append(type(leaving))

    link = Runner(tmp_path, train).run(Recorder(stop_at=1))
    assert link.ended.outcome is Outcome.STOPPED
    assert cleaned == [TrialStopped] * 3
    assert len(link.records) == 1


def pausing(step: int) -> Recorder:
    """A driver that pauses the trial at its report at ``step``, and at later ones."""
    return Recorder(
        verdict=lambda report: Verdict.PAUSE if report.step >= step else Verdict.CONTINUE
    )


def test_pause_saves_and_leaves_at_the_end_of_the_epoch(tmp_path: Path) -> None:
    """A paused trial saves where its epoch ends, and goes on from there when it is promoted."""
    runner = Runner(tmp_path, counting, verdicts=True)
    paused = runner.run(pausing(1))
    assert paused.ended == Ended(outcome=Outcome.PAUSED)
    assert paused.records[-1].kind is Kind.PAUSED
    promoted = runner.run(Recorder())
    assert promoted.ended.outcome is Outcome.COMPLETE
    assert [message.step for message in promoted.of(Reported)] == [2]
    whole = Runner(tmp_path / "whole", counting, verdicts=True)
    assert same(runner.final(promoted), whole.final(whole.run()))


@pytest.mark.parametrize("leave", ["return", "break", "last epoch"])
def test_pause_where_the_function_ends_first(tmp_path: Path, leave: str) -> None:
    """A trial that ends by itself in the epoch in which it was to be paused is complete."""

    link = Runner(tmp_path, ending(leave), verdicts=True).run(pausing(0))
    assert link.ended.outcome is Outcome.COMPLETE
    assert link.records[-1].kind is Kind.FINAL


@pytest.mark.parametrize("held", [True, False])
def test_pause_outlives_a_stop_until_a_promotion(tmp_path: Path, held: bool) -> None:
    """Stopped before the end of its epoch, a trial is paused there, unless it was promoted."""

    def train(trial):
        loader = trial.loader(list(range(4)))
        trial.track()
        for _ in trial.epochs(2):
            for number in loader:
                if number == 1:
                    trial.report(loss=1)
                trial.step()

    runner = Runner(tmp_path, train, verdicts=True)
    stopped = runner.run(Recorder(stop_at=3, verdict=lambda report: Verdict.PAUSE))
    assert stopped.ended.outcome is Outcome.STOPPED
    later = runner.run(Recorder(), held=held)
    assert later.ended.outcome is (Outcome.PAUSED if held else Outcome.COMPLETE)


def test_pause_of_what_saves_nothing(tmp_path: Path) -> None:
    """A trial that tracks nothing gives its slot away too, and begins anew when it goes on."""

    def train(trial):
        for value in range(3):
            trial.report(loss=value)

    runner = Runner(tmp_path, train, verdicts=True)
    assert runner.run(pausing(1)).ended == Ended(outcome=Outcome.PAUSED)
    assert [message.step for message in runner.run(Recorder()).of(Reported)] == [0, 1, 2]
