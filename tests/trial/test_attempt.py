"""One attempt and what the driver hears of it."""

from __future__ import annotations

import math
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from trial_harness import Recorder, Runner
from trial_programs import counting

from sweep.checkpoint.policy import Policy
from sweep.checkpoint.record import Kind
from sweep.trial.message import Ended, Reported, Restored, Saved, Verdict
from sweep.trial.outcome import Outcome


def test_messages_of_a_complete_trial(tmp_path: Path) -> None:
    """Reports, saves and the end arrive in order, with the records of what is on the disk."""
    runner = Runner(tmp_path, counting)
    link = runner.run()
    assert [message.step for message in link.of(Reported)] == [0, 1, 2]
    assert [record.id for record in link.records] == ["3@1.1", "3@2.2", "3@3.3", "3@3.3.final"]
    assert [record.kind for record in link.records] == [Kind.PERIODIC] * 3 + [Kind.FINAL]
    assert [record.parent for record in link.records] == [None, "3@1.1", "3@2.2", "3@3.3"]
    assert [record.step for record in link.records] == [0, 1, 2, 2]
    assert [record.metrics for record in link.records] == [{"loss": 10.0 - n} for n in (0, 1, 2, 2)]
    assert link.ended == Ended(outcome=Outcome.COMPLETE)
    assert not link.of(Restored)
    for record in link.records:
        assert runner.store.verify(record.manifest) == record
        assert record.manifest.endswith("-s001a01.json")


@pytest.mark.parametrize(
    ("policy", "ids"),
    [
        (Policy(), []),
        (Policy(epochs=2), ["3@2.2"]),
        (Policy(seconds=1e-9), ["3@1.1", "3@2.2", "3@3.3"]),
        (Policy(seconds=1000), []),
    ],
)
def test_policy(tmp_path: Path, policy: Policy, ids: list[str]) -> None:
    """Periodic saves come when the policy says; the end is saved under every policy."""
    link = Runner(tmp_path, counting, policy=policy).run()
    assert [record.id for record in link.records] == [*ids, "3@3.3.final"]


def test_policy_in_steps(tmp_path: Path) -> None:
    """Intervals of steps are counted over epochs, and hold where a loader keeps the place."""

    def train(trial):
        loader = trial.loader(list(range(5)))
        trial.track()
        for _ in trial.epochs(2):
            for _ in loader:
                trial.step()
                trial._session._saving._saver.wait()  # a step would not

    link = Runner(tmp_path, train, policy=Policy(steps=3)).run()
    assert [record.id for record in link.records] == ["3@0.3", "3@1.6", "3@1.9", "3@2.10.final"]


def test_middle_of_an_epoch_needs_a_loader(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a loader an epoch starts again at its beginning, so nothing is saved within it."""
    done = []

    def train(trial):
        trial.track()
        for epoch in trial.epochs(2):
            for part in range(4):
                done.append((epoch, part))
                trial.step()
            trial.report(loss=1)

    runner = Runner(tmp_path, train, policy=Policy(steps=3))
    link = runner.run(Recorder(stop_at=7))
    assert link.ended.outcome is Outcome.STOPPED
    assert [record.id for record in link.records] == ["3@1.4"]
    assert "use trial.loader" in caplog.text
    assert runner.run().ended.outcome is Outcome.COMPLETE
    assert done == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)] + [(1, n) for n in range(4)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (0.5, {"loss": 0.5}),
        (torch.tensor(0.5), {"loss": 0.5}),
        ({"loss": np.float32(2), "size": 3}, {"loss": 2.0, "size": 3.0}),
        ({}, None),
    ],
)
def test_returned(tmp_path: Path, value: object, expected: dict | None) -> None:
    """A number is the study's metric, a mapping holds metrics, nothing is nothing."""
    link = Runner(tmp_path, lambda trial: value).run()
    assert link.ended == Ended(outcome=Outcome.COMPLETE, returned=expected)


@pytest.mark.parametrize("value", ["0.5", [1.0], {"loss": "x"}, {1: 2.0}, torch.ones(2)])
def test_returned_nonsense_fails_the_trial(tmp_path: Path, value: object) -> None:
    """Anything else fails the trial, and says what may be returned."""
    ended = Runner(tmp_path, lambda trial: value).run().ended
    assert ended.outcome is Outcome.FAILED
    assert ended.reason is not None
    assert "TypeError: the trial function must return None, a number, or a mapping" in ended.reason


def test_final_metrics_are_in_the_last_record(tmp_path: Path) -> None:
    """The last checkpoint knows what the function returned."""

    def train(trial):
        trial.track()
        trial.report(loss=2)
        return {"accuracy": 1}

    assert Runner(tmp_path, train).run().records[-1].metrics == {"loss": 2.0, "accuracy": 1.0}


def test_failure_names_the_users_line(tmp_path: Path) -> None:
    """A failed trial gives the traceback from the user's frame on, and its reason in one line."""

    def train(trial):
        trial.track()
        for _ in trial.epochs(5):
            trial.report(loss=1)
            if trial.reports[-1].step == 2:
                raise ValueError("first line\nsecond line")

    link = Runner(tmp_path, train).run()
    ended = link.ended
    assert (ended.outcome, ended.returned) == (Outcome.FAILED, None)
    assert ended.reason == "ValueError: first line"
    assert ended.error is not None
    lines = ended.error.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith(f'  File "{__file__}"')
    assert lines[1].endswith("in train")
    assert lines[-1] == "second line"
    assert [record.id for record in link.records] == ["3@1.0", "3@2.0"]


def test_failure_inside_a_call_of_ours_names_the_users_line(tmp_path: Path) -> None:
    """An error that a trial's method raises is shown from the user's call on."""
    ended = Runner(tmp_path, lambda trial: trial.report(loss="x")).run().ended
    assert ended.error is not None
    assert ended.error.splitlines()[1].startswith(f'  File "{__file__}"')
    assert ended.reason is not None
    assert ended.reason.startswith("TypeError: the metric 'loss' must be a number")


@pytest.mark.parametrize("code", [0, 3, None])
def test_system_exit_is_a_failure(tmp_path: Path, code: int | None) -> None:
    """A function that ends the process has not ended its trial well."""
    ended = Runner(tmp_path, lambda trial: sys.exit(code)).run().ended
    assert ended.outcome is Outcome.FAILED
    assert ended.reason is not None
    assert ended.reason.startswith("SystemExit")


def test_keyboard_interrupt_is_passed_on(tmp_path: Path) -> None:
    """Ctrl-C is not the trial's affair; all threads have ended before it is passed on."""

    def train(trial):
        trial.track()
        for _ in trial.epochs(1):
            pass
        raise KeyboardInterrupt

    before = threading.active_count()
    link = Recorder()
    with pytest.raises(KeyboardInterrupt):
        Runner(tmp_path, train).run(link)
    assert link.of(Ended) == []
    assert [record.id for record in link.records] == ["3@1.0"]
    assert threading.active_count() == before


@pytest.mark.parametrize("ending", ["return", "raise", "stop", "prune"])
def test_every_saved_comes_before_the_end(tmp_path: Path, ending: str) -> None:
    """However an attempt ends, what it had begun to save is durable and told before the end."""

    class Slow(Recorder):
        def send(self, message):
            if isinstance(message, Saved):
                slow.wait(0.2)
            super().send(message)

    slow = threading.Event()

    def train(trial):
        trial.track(model=torch.nn.Linear(50, 50))
        for epoch in trial.epochs(3):
            trial.report(loss=1)
            if epoch == 1 and ending == "raise":
                raise ValueError("x")

    link = Slow(
        stop_at=2 if ending == "stop" else None,
        verdict=lambda report: Verdict.PRUNE if ending == "prune" else Verdict.CONTINUE,
    )
    runner = Runner(tmp_path, train, verdicts=True)
    before = threading.active_count()
    runner.run(link)
    assert threading.active_count() == before
    assert isinstance(link.messages[-1], Ended)
    assert [record.manifest for record in link.records] == sorted(runner.store.manifests(3))


def test_save_that_fails_is_not_the_trial_s_fault(tmp_path: Path) -> None:
    """A checkpoint that cannot be written ends the attempt at a later safe point, by path."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "manifests").write_text("in the way")
    link = Runner(tmp_path, counting).run()
    assert link.ended.outcome is Outcome.UNSAVED
    assert link.ended.reason is not None
    assert "checkpoint 3@1.1 cannot be saved" in link.ended.reason
    assert "manifests" in link.ended.reason
    assert link.records == []


def test_unknown_leaf_fails_the_trial_with_its_path(tmp_path: Path) -> None:
    """A state that cannot be saved is named by its path where it is saved."""

    def train(trial):
        trial.state["seen"] = [1, {2}]
        trial.report(loss=1)

    ended = Runner(tmp_path, train).run().ended
    assert ended.reason is not None
    assert "state.seen[1]: set cannot be saved" in ended.reason


def test_nan_metrics_are_saved(tmp_path: Path) -> None:
    """A checkpoint of a trial that has come to NaN can be written and read."""

    def train(trial):
        trial.track()
        for _ in trial.epochs(2):
            trial.report(loss=math.nan)

    runner = Runner(tmp_path, train)
    link = runner.until_done([1])
    assert math.isnan(link.records[-1].metrics["loss"])
    assert runner.store.verify(link.records[-1].manifest).id == "3@2.0.final"
