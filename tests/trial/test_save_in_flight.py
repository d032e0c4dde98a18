"""What a trial does while a save of it is under way."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trial_harness import Recorder, Runner, saved
from trial_programs import improving, objects

from sweep.checkpoint.policy import Improvement, Policy, Scope
from sweep.checkpoint.record import Kind
from sweep.errors import CheckpointError
from sweep.trial.outcome import Outcome
from sweep.trial.trial import Trial


class Gate(Recorder):
    """Holds the thread that saves after its first checkpoint, until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.open = threading.Event(), threading.Event()

    def send(self, message: Any) -> None:
        super().send(message)
        if self.records and threading.current_thread() is not threading.main_thread():
            self.reached.set()
            assert self.open.wait(60)


def test_step_never_waits(tmp_path: Path) -> None:
    """While a save hangs, steps go on; the due save is made at the first step after it."""
    gate = Gate()

    def train(trial: Trial) -> None:
        loader = trial.loader(list(range(50)))
        trial.track()
        for _ in trial.epochs(1):
            for number in loader:
                if number.item() == 30:
                    assert not gate.open.is_set()  # thirty steps have passed while it hung
                    gate.open.set()
                    trial._session._saving._saver.wait()
                trial.step()

    link = Runner(tmp_path, train, policy=Policy(steps=1)).run(gate)
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    assert [each.id for each in link.records[:2]] == ["3@0.1", "3@0.31"]


def test_end_of_an_epoch_waits(tmp_path: Path) -> None:
    """Each end of an epoch that is asked for is saved, however slow the disk is."""

    class Slow(Recorder):
        def send(self, message: Any) -> None:
            super().send(message)
            if threading.current_thread() is not threading.main_thread():
                time.sleep(0.02)  # a slow disk is what this is about

    link = Runner(tmp_path, improving).run(Slow())
    assert [each.id for each in link.records] == [*(f"3@{n}.0" for n in range(1, 7)), "3@6.0.final"]


def test_error_of_a_save_surfaces(tmp_path: Path) -> None:
    """A save that failed raises from a waiting checkpoint, by path."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "manifests").write_text("in the way")

    def train(trial: Trial) -> None:
        trial.state["x"] = np.zeros(3)
        with pytest.raises(CheckpointError, match="manifests"):
            trial.checkpoint(wait=True)

    assert Runner(tmp_path, train, policy=Policy()).run().ended.outcome is Outcome.UNSAVED


def test_overhead_is_kept(tmp_path: Path) -> None:
    """With a large state the saves take about the share that was allowed, and more than none."""
    share, length = 0.2, 6.0
    spent: list[float] = []

    def train(trial: Trial) -> None:
        trial.state["large"] = np.random.default_rng(0).random(6_000_000)
        saver = trial._session._saving._saver
        end = time.monotonic() + length
        seen = None
        while time.monotonic() < end:
            x = np.random.default_rng(1).random(200_000)
            x.sort()
            begun = time.monotonic()
            trial.step()
            spent.append(time.monotonic() - begun)
            if saver.last is not None and saver.last.id != seen and not saver.busy:
                seen = saver.last.id
                spent.append(saver.cpu_s)

    link = Runner(tmp_path, train, policy=Policy(overhead=share)).run()
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    assert len([each for each in link.records if each.kind is Kind.PERIODIC]) >= 2
    assert sum(spent) / length < 1.6 * share


def hold_writes(trial: Trial, opened: threading.Event, reached: threading.Event) -> None:
    """Each save stands still before its first file until ``opened`` is set."""
    store = trial._session._saving._saver._store
    write = store.write

    def held(draft: Any, captured: Any, cancelled: Any = lambda: False) -> Any:
        reached.set()
        assert opened.wait(60)
        return write(draft, captured, cancelled)

    store.write = held


@pytest.mark.parametrize("asked", [True, False])
def test_a_save_by_hand_is_never_replaced(tmp_path: Path, asked: bool) -> None:
    """The id that a trial was given becomes durable, even where a save that `in_flight: replace`
    could give up had just been made at that very place."""
    opened, reached, heard = threading.Event(), threading.Event(), list[str]()

    def train(trial: Trial) -> None:
        loader = trial.loader(list(range(4)))
        trial.track()
        hold_writes(trial, opened, reached)
        for _ in trial.epochs(1):
            for number in loader:
                trial.step()  # the first one is due, and hangs
                if number.item() == 0:
                    assert reached.wait(60)
                    if asked:
                        name = trial.checkpoint(then=lambda record: heard.append(record.id))
                        assert name == "3@0.1"
                elif number.item() == 1:
                    opened.set()
                    trial._session._saving._saver.wait()

    runner = Runner(tmp_path, train, policy=Policy(steps=1), scope=Scope(replace=True))
    link = runner.run()
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    assert ("3@0.1" in [each.id for each in link.records]) is asked
    assert heard == (["3@0.1"] if asked else [])


def test_an_improvement_is_never_replaced(tmp_path: Path) -> None:
    """A periodic save that is one on improvement too, in full, is not given up for a newer one."""
    opened, reached = threading.Event(), threading.Event()

    def train(trial: Trial) -> None:
        loader = trial.loader(list(range(4)))
        trial.track(**objects())
        hold_writes(trial, opened, reached)
        for epoch in trial.epochs(2):
            for number in loader:
                if (epoch, number.item()) == (1, 1):
                    assert reached.wait(60)
                if (epoch, number.item()) == (1, 2):
                    opened.set()
                    trial._session._saving._saver.wait()
                trial.step()
            trial.report(loss=float(epoch))

    scope = Scope(improvement=Improvement(metric="loss"), components=("model",), replace=True)
    runner = Runner(tmp_path, train, policy=Policy(epochs=1, steps=5), scope=scope)
    link = runner.run()
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    assert saved(link)[0] == ("3@1.4", "improvement", "full")


def test_each_checkpoint_is_of_its_own_step(tmp_path: Path) -> None:
    """However saves overlap and give way, a checkpoint holds the values of its step, all of them:
    no two captures share memory."""

    def train(trial: Trial) -> None:
        loader = trial.loader(list(range(90)))
        large = {str(size): torch.zeros(size) for size in (3, 1000, 100_000)}
        array = np.zeros(50_000)
        trial.track()
        trial.state["large"], trial.state["array"] = large, array
        for epoch in trial.epochs(1):
            for number in loader:
                for tensor in large.values():
                    tensor.fill_(number.item() + 1)
                array[:] = number.item() + 1
                trial.step()
                if number.item() % 3 == 2:
                    trial._session._saving._saver.wait()
            trial.report(loss=float(epoch))

    runner = Runner(tmp_path, train, policy=Policy(steps=1), scope=Scope(replace=True))
    link = runner.run()
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    assert len(link.records) >= 30
    for record in link.records:
        state = runner.store.read(record.manifest).tree["state"]
        for values in (*state["large"].values(), state["array"]):
            assert set(np.asarray(values).tolist()) == {float(record.global_step)}, record.id
