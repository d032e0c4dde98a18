"""What a trial saves, when, and what it hears of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from trial_harness import Recorder, Runner, same, saved
from trial_programs import improving, objects

from sweep.checkpoint.policy import Improvement, Policy, Scope
from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.trial.outcome import Outcome
from sweep.trial.trial import Trial


def test_on_improvement(tmp_path: Path) -> None:
    """A save is made where the metric is better than all before it; NaN and equal ones are not."""
    scope = Scope(improvement=Improvement(metric="loss"))
    link = Runner(tmp_path, improving, policy=Policy(), scope=scope).run()
    assert saved(link) == [
        ("3@1.0", "improvement", "full"),
        ("3@2.0", "improvement", "full"),
        ("3@5.0", "improvement", "full"),
        ("3@6.0.final", "final", "full"),
    ]


def test_improvement_of_another_metric(tmp_path: Path) -> None:
    """The metric and its direction may be others than the study's."""
    scope = Scope(improvement=Improvement(metric="other", maximize=True))
    link = Runner(tmp_path, improving, policy=Policy(), scope=scope).run()
    assert [each.epoch for each in link.records if each.kind is Kind.IMPROVEMENT] == [*range(1, 7)]


def test_best_outlives_a_stop(tmp_path: Path) -> None:
    """A resumed trial knows how good it was: what is not better than that is no improvement."""
    scope = Scope(improvement=Improvement(metric="loss"))
    runner = Runner(tmp_path, improving, policy=Policy(), scope=scope)
    assert [each[:2] for each in saved(runner.run(Recorder(stop_at=3)))][-1] == ("3@3.0", "stop")
    assert [each[0] for each in saved(runner.run())] == ["3@5.0", "3@6.0.final"]


def test_partial_improvements_beside_full_saves(tmp_path: Path) -> None:
    """Components make saves on improvement partial, where no full save is due as well."""
    scope = Scope(improvement=Improvement(metric="loss"), components=("model",))
    runner = Runner(tmp_path, improving, policy=Policy(epochs=2), scope=scope)
    link = runner.run()
    assert saved(link) == [
        ("3@1.0.partial", "improvement", "partial"),
        ("3@2.0", "improvement", "full"),
        ("3@4.0", "periodic", "full"),
        ("3@5.0.partial", "improvement", "partial"),
        ("3@6.0", "periodic", "full"),
        ("3@6.0.final", "final", "full"),
    ]
    partial = runner.store.read(link.records[0].manifest)
    assert partial.manifest.content is Content.PARTIAL
    assert partial.tree["tracked"].keys() == {"model"}
    assert same(partial.tree["tracked"]["model"], dict(objects()["model"].state_dict()))


def test_times_in_the_manifest(tmp_path: Path) -> None:
    """Training time is carried over a stop, without the time between the attempts."""

    def train(trial: Trial) -> None:
        trial.track()
        for _ in trial.epochs(2):
            begun = time.monotonic()
            while time.monotonic() - begun < 0.05:
                pass
            trial.report(loss=1.0)

    runner = Runner(tmp_path, train)
    first = runner.run(Recorder(stop_at=1)).records[-1]
    pause = threading.Event()
    pause.wait(0.5)
    last = runner.run().records[-1]
    before, after = (runner.store.read(each.manifest).manifest.meta for each in (first, last))
    assert 0.05 <= before["training_s"] <= before["wall_s"] + 0.01
    assert before["training_s"] + 0.05 <= after["training_s"] < after["wall_s"] - 0.45


def test_checkpoint_by_hand(tmp_path: Path) -> None:
    """A trial saves when it wants, is told when that is durable, and in its own thread."""
    heard: list[tuple[str, int]] = []
    said: list[str | None] = []

    def train(trial: Trial) -> None:
        loader = trial.loader(list(range(4)))
        trial.track()
        assert trial.last_checkpoint is None

        def then(record: CheckpointRecord) -> None:
            assert trial.last_checkpoint is not None
            heard.append((record.id, threading.get_ident()))

        for _ in trial.epochs(1):
            for number in loader:
                trial.step()
                if number.item() == 1:
                    said.append(trial.checkpoint(wait=True, then=then))
                    said.append(trial.last_checkpoint)
            assert trial.checkpoint(then=then) is None  # here it waits for the end of the epoch

    runner = Runner(tmp_path, train, policy=Policy())
    link = runner.run()
    assert saved(link) == [
        ("3@0.2", "manual", "full"),
        ("3@1.4", "manual", "full"),
        ("3@1.4.final", "final", "full"),
    ]
    assert said == ["3@0.2", "3@0.2"]
    assert heard == [(name, threading.get_ident()) for name in ("3@0.2", "3@1.4")]


def test_a_save_that_is_put_off_is_waited_for(tmp_path: Path) -> None:
    """Asked to wait where nothing can be saved, the trial waits where it can: what runs after the
    next safe point relies on it."""
    seen: list[tuple[str | None, str | None]] = []

    def train(trial: Trial) -> None:
        trial.track(**objects())
        for epoch in trial.epochs(3):
            seen.append((trial.last_checkpoint, f"3@{epoch}.0" if epoch else None))
            assert trial.checkpoint(wait=True) is None

    class Slow(Recorder):
        def send(self, message: Any) -> None:
            super().send(message)
            if threading.current_thread() is not threading.main_thread():
                time.sleep(0.02)  # a slow disk is what this is about

    link = Runner(tmp_path, train, policy=Policy()).run(Slow())
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    assert [last for last, _ in seen] == [expected for _, expected in seen]


def test_checkpoint_where_one_was_just_made(tmp_path: Path) -> None:
    """Asked at a position that is saved already, its id is given and the callback called."""
    heard: list[str] = []

    def train(trial: Trial) -> None:
        loader = trial.loader(list(range(2)))
        trial.track()
        for _ in trial.epochs(1):
            for _ in loader:
                trial.step()
                name = trial.checkpoint(wait=True, then=lambda record: heard.append(record.id))
                assert name == heard[-1]

    link = Runner(tmp_path, train, policy=Policy(steps=1)).run()
    assert [each.kind for each in link.records] == [Kind.PERIODIC, Kind.PERIODIC, Kind.FINAL]
    assert heard == ["3@0.1", "3@0.2"]


def test_callback_that_raises_fails_the_trial(tmp_path: Path) -> None:
    """What a callback raises comes out of a safe point of the trial, or of its end."""

    def train(trial: Trial) -> None:
        trial.state["x"] = 1
        trial.checkpoint(then=lambda record: 1 / 0)

    ended = Runner(tmp_path, train, policy=Policy()).run().ended
    assert ended.outcome is Outcome.FAILED
    assert ended.reason == "ZeroDivisionError: division by zero"


def test_checkpoint_offline() -> None:
    """Without a study there is nothing to save to, and that is no error."""
    trial = Trial.offline({})
    trial.track()
    for _ in trial.epochs(1):
        trial.step()
        assert trial.checkpoint(wait=True) is None
    assert trial.last_checkpoint is None


@pytest.mark.parametrize("place", ["first", "validation", "twice", "saving"])
def test_sigterm_saves_first(tmp_path: Path, place: str) -> None:
    """A real SIGTERM before the first step, in validation, twice, or amid a save: the trial saves
    at its next safe point, and goes on to the end of an uninterrupted one."""

    cut: list[bool] = []
    in_save = threading.Event()

    class Signalled(Recorder):
        heard = 0

        @property
        def stopping(self) -> bool:
            return self.heard > 0

        def hear(self, *_: object) -> None:
            self.heard += 1

        def send(self, message: Any) -> None:
            super().send(message)
            if place == "saving" and self.records and not in_save.is_set():
                os.kill(os.getpid(), signal.SIGTERM)  # from the thread that saves
                in_save.set()

    def train(trial: Trial) -> None:
        tracked = objects()
        model, optimizer = tracked["model"], tracked["optimizer"]
        loader = trial.loader(torch.arange(24.0).reshape(8, 3), batch_size=2, shuffle=True)
        trial.track(**tracked)
        if place == "first" and trial.last_checkpoint is None:
            os.kill(os.getpid(), signal.SIGTERM)
        for epoch in trial.epochs(2):
            for batch in loader:
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
                trial.step()
                if cut and place == "saving" and trial.global_step == 3:
                    assert in_save.wait(60)
            if place in ("validation", "twice") and trial.last_checkpoint is None:
                for _ in range(1 + (place == "twice")):
                    os.kill(os.getpid(), signal.SIGTERM)
            trial.report(loss=float(epoch))

    before = signal.getsignal(signal.SIGTERM)
    whole = Runner(tmp_path / "whole", train, policy=Policy())
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        expected = whole.final(whole.run())
        runner = Runner(
            tmp_path / "cut", train, policy=Policy(steps=3 if place == "saving" else 99)
        )
        cut.append(True)
        link = Signalled()
        signal.signal(signal.SIGTERM, link.hear)
        runner.run(link)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert link.ended.outcome is Outcome.STOPPED, link.ended.error
        assert link.heard == (2 if place == "twice" else 1)
        assert link.records[-1].kind is Kind.STOP
        assert same(runner.final(runner.run()), expected)
    finally:
        signal.signal(signal.SIGTERM, before)
