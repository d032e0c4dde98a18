"""What a trial saves, when, and what it hears of it."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trial_harness import Recorder, Runner, same

from sweep.checkpoint.policy import Improvement, Policy, Scope
from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.errors import CheckpointError
from sweep.trial.outcome import Outcome
from sweep.trial.trial import Trial

LOSSES = [5.0, 3.0, math.nan, 4.0, 2.0, 2.0]


def objects() -> dict[str, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    return {"model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)}


def improving(trial: Trial) -> None:
    trial.track(**objects())
    for epoch in trial.epochs(len(LOSSES)):
        trial.report(loss=LOSSES[epoch], other=float(epoch))


def saved(link: Recorder) -> list[tuple[str, str, str]]:
    return [(each.id, str(each.kind), str(each.content)) for each in link.records]


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


def test_unknown_component_is_named(tmp_path: Path) -> None:
    """A component that nothing is tracked as fails the trial and names what there is."""
    scope = Scope(improvement=Improvement(metric="loss"), components=("modle",))
    ended = Runner(tmp_path, improving, policy=Policy(), scope=scope).run().ended
    assert ended.outcome is Outcome.FAILED
    assert ended.reason is not None
    assert "nothing is tracked as modle; tracked are model, optimizer" in ended.reason


def test_excluded_parts_stay_fresh(tmp_path: Path) -> None:
    """What was excluded is not in the file; on a resume the object keeps its own, and the rest is
    restored as strictly as ever."""
    seen = []

    def train(trial: Trial) -> None:
        tracked = objects()
        norm = tracked["model"][1]
        with torch.no_grad():
            norm.weight.fill_(7.0)
            norm.running_mean.fill_(float(len(seen)))
        trial.track(**tracked)
        seen.append((norm.weight.tolist(), norm.running_mean.tolist()))
        with torch.no_grad():
            norm.weight.fill_(9.0)
            norm.running_mean.fill_(99.0)
        for epoch in trial.epochs(2):
            trial.report(loss=float(epoch))

    scope = Scope(exclude=("model.*.running_*",))
    runner = Runner(tmp_path, train, scope=scope)
    link = runner.run(Recorder(stop_at=1))
    tree = runner.store.read(link.records[0].manifest).tree
    assert "1.running_mean" not in tree["tracked"]["model"]
    assert "1.weight" in tree["tracked"]["model"]
    assert tree["excluded"] == [["model", "1.running_mean"], ["model", "1.running_var"]]
    assert runner.run().ended.outcome is Outcome.COMPLETE
    assert seen == [([7.0, 7.0], [0.0, 0.0]), ([9.0, 9.0], [1.0, 1.0])]


def adam_train(trial: Trial) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    trial.track(model=model, optimizer=optimizer)
    for epoch in trial.epochs(3):
        optimizer.zero_grad()
        model(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
        trial.report(loss=float(epoch))


@pytest.mark.parametrize(
    "pattern", ["optimizer", "optimizer.*", "optimizer.state", "optimizer.state*.exp_avg"]
)
def test_excluded_parts_of_an_optimizer(tmp_path: Path, pattern: str) -> None:
    """A trial goes on without the optimizer's state, or a part of it, as one that begins anew."""
    runner = Runner(tmp_path, adam_train, scope=Scope(exclude=(pattern,)))
    record = runner.run(Recorder(stop_at=2)).records[-1]
    tracked = runner.store.read(record.manifest).tree["tracked"]
    assert "exp_avg" not in tracked.get("optimizer", {}).get("state", {}).get(0, {})
    link = runner.run()
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    whole = Runner(tmp_path / "whole", adam_train)
    assert not same(runner.final(link)["model"], whole.final(whole.run())["model"])


def test_a_pattern_that_matches_nothing_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named once an attempt, when there is something to match; one that matches is not."""
    scope = Scope(exclude=("optimizer.state*.exp_avg", "modle.*"))
    link = Runner(tmp_path, adam_train, scope=scope).run()
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    assert [record.getMessage() for record in caplog.records] == [
        "checkpoint.exclude: modle.* matches nothing that is tracked"
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [("Adam", "SGD"), ("Adam", "AdamW"), ("StepLR", "ExponentialLR"), ("SGD", "SGD")],
)
def test_another_class_of_torch_is_refused(tmp_path: Path, before: str, after: str) -> None:
    """The state of one optimizer or schedule does not go into another one, and both are named."""
    classes = [before, after]

    def train(trial: Trial) -> None:
        name = classes.pop(0)
        model = nn.Linear(3, 2)
        kind = getattr(torch.optim, name, torch.optim.SGD)
        thing = optimizer = kind(model.parameters(), lr=0.1)
        if name == "StepLR":
            thing = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        elif name == "ExponentialLR":
            thing = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        trial.track(thing=thing)
        for epoch in trial.epochs(2):
            trial.report(loss=float(epoch))

    runner = Runner(tmp_path, train)
    assert runner.run(Recorder(stop_at=1)).ended.outcome is Outcome.STOPPED
    ended = runner.run().ended
    if before == after:
        assert ended.outcome is Outcome.COMPLETE
        return
    assert ended.outcome is Outcome.FAILED
    assert ended.reason is not None
    assert "CheckpointMismatchError" in ended.reason
    assert f"saved of torch's {before}, and is {after} in the trial" in ended.reason


@pytest.mark.parametrize("final", [Content.LIGHT, None])
def test_final(tmp_path: Path, final: Content | None) -> None:
    """The end may be saved light, which still says that it was reached, or not at all."""
    calls = []

    def train(trial: Trial) -> dict[str, float]:
        calls.append(1)
        improving(trial)
        return {"test": 1.0}

    runner = Runner(tmp_path, train, scope=Scope(final=final))
    link = runner.run()
    assert link.ended.outcome is Outcome.COMPLETE
    finals = [each for each in link.records if each.kind is Kind.FINAL]
    if final is None:
        assert finals == []
        return
    assert [each.content for each in finals] == [Content.LIGHT]
    found = runner.store.read(finals[0].manifest)
    assert found.manifest.blobs == ()
    assert found.manifest.metrics["test"] == 1.0
    assert runner.run().ended == link.ended
    assert calls == [1]


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
