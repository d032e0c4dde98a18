"""What of a trial a checkpoint holds, and what is left out of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from trial_harness import Recorder, Runner, same
from trial_programs import improving, objects

from sweep.checkpoint.policy import Improvement, Policy, Scope
from sweep.checkpoint.record import Content, Kind
from sweep.trial.outcome import Outcome
from sweep.trial.trial import Trial


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
