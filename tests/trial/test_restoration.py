"""What an attempt goes on from, what it passes over, and what it refuses."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from trial_harness import Recorder, Runner, same
from trial_programs import counting

from sweep.trial.message import Reported, Restored
from sweep.trial.outcome import Outcome


def test_untracked_trial_starts_from_scratch(tmp_path: Path) -> None:
    """A trial that tracks nothing is not saved: skipping its epochs would be wrong."""

    def train(trial):
        for epoch in trial.epochs(3):
            trial.report(loss=epoch)

    runner = Runner(tmp_path, train)
    link = runner.run(Recorder(stop_at=2))
    assert link.ended.outcome is Outcome.STOPPED
    assert link.records == []
    assert [message.step for message in runner.run().of(Reported)] == [0, 1, 2]


def test_state_alone_is_saved(tmp_path: Path) -> None:
    """A loop without epochs keeps its place in the state, and its random numbers go on."""

    def train(trial):
        while trial.state.get("i", 0) < 5:
            trial.state["sum"] = trial.state.get("sum", 0.0) + random.random()
            trial.state["i"] = trial.state.get("i", 0) + 1
            trial.report(loss=trial.state["sum"])

    whole = Runner(tmp_path / "whole", train)
    whole.run()
    for stop in range(1, 6):
        runner = Runner(tmp_path / str(stop), train)
        runner.until_done([stop, 1])
        assert runner.reports == whole.reports
        assert len(runner.reports) == 5


def test_failed_trial_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    """After an exception the next attempt does not begin at the start."""
    seen = []

    def train(trial):
        trial.track()
        for epoch in trial.epochs(4):
            seen.append(epoch)
            if epoch == 2 and seen.count(2) == 1:
                raise RuntimeError("once")
            trial.report(loss=1)

    runner = Runner(tmp_path, train)
    assert runner.run().ended.outcome is Outcome.FAILED
    assert runner.run().ended.outcome is Outcome.COMPLETE
    assert seen == [0, 1, 2, 2, 3]


def test_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    """The next older checkpoint is used where the newest is damaged, and both are told."""
    runner = Runner(tmp_path, counting)
    runner.run(Recorder(stop_at=4))
    newest, older = reversed(runner.known)
    path = tmp_path / "checkpoints" / "manifests" / newest
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    link = runner.run()
    restored = link.messages[0]
    assert isinstance(restored, Restored)
    assert restored.checkpoint == "3@1.1"
    ((name, why),) = restored.skipped
    assert name == newest
    assert "is not what was saved" in why
    assert [message.step for message in link.of(Reported)] == [1, 2]
    assert older in runner.known


def test_no_checkpoint_left_is_told(tmp_path: Path) -> None:
    """Where every checkpoint is damaged or gone the trial starts anew, and says so."""
    runner = Runner(tmp_path, counting)
    runner.run(Recorder(stop_at=4))
    names = list(reversed(runner.known))
    for name in names:
        (tmp_path / "checkpoints" / "manifests" / name).unlink()
    link = runner.run()
    restored = link.messages[0]
    assert isinstance(restored, Restored)
    assert restored.checkpoint is None
    assert [name for name, _ in restored.skipped] == names
    assert all("is missing" in why for _, why in restored.skipped)
    assert [message.step for message in link.of(Reported)] == [0, 1, 2]


def tracks(**objects):
    def train(trial):
        trial.track(**{name: make() for name, make in objects.items()})
        for _ in trial.epochs(3):
            trial.report(loss=1)

    return train


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (tracks(model=lambda: torch.nn.Linear(2, 3)), ["'model' (Linear)", "size mismatch"]),
        (tracks(net=lambda: torch.nn.Linear(2, 2)), ["holds model", "tracks net"]),
        (tracks(), ["holds model", "tracks nothing"]),
        (
            tracks(model=lambda: torch.nn.Linear(2, 2), generator=lambda: np.random.default_rng(0)),
            ["holds model,", "tracks generator, model"],
        ),
    ],
    ids=["shape", "name", "fewer", "more"],
)
def test_mismatch_is_an_error_of_its_own(tmp_path: Path, program, words: list[str]) -> None:
    """A changed model is no damage: the attempt fails, and both sides are named."""
    runner = Runner(tmp_path, tracks(model=lambda: torch.nn.Linear(2, 2)))
    runner.run(Recorder(stop_at=2))
    other = Runner(tmp_path, program)
    other.known = runner.known
    ended = other.run().ended
    assert ended.outcome is Outcome.FAILED
    assert ended.reason is not None
    assert ended.reason.startswith("sweep.errors.CheckpointMismatchError: checkpoint 3@2.0 ")
    assert all(word in ended.reason for word in words)
    assert not ended.again


def test_want_of_memory_is_no_mismatch(tmp_path: Path) -> None:
    """A state that could not be taken on for want of memory may be in another attempt."""
    runner = Runner(tmp_path, tracks(model=lambda: torch.nn.Linear(2, 2)))
    runner.run(Recorder(stop_at=2))

    class Scarce(torch.nn.Linear):
        def load_state_dict(self, *arguments: object) -> None:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    other = Runner(tmp_path, tracks(model=lambda: Scarce(2, 2)))
    other.known = runner.known
    ended = other.run().ended
    assert ended.outcome is Outcome.FAILED
    assert ended.again


def test_what_is_not_torch_resumes_exactly(tmp_path: Path) -> None:
    """Generators and objects with NumPy states go on as if nothing had happened."""

    class Walk:
        def __init__(self):
            self.at = np.zeros(2)

        def state_dict(self):
            return {"at": self.at}

        def load_state_dict(self, state):
            self.at = state["at"]

    def train(trial):
        walk, generator = Walk(), np.random.default_rng(trial.seed)
        shared = torch.Generator().manual_seed(1)
        trial.track(walk=walk, generator=generator, shared=shared)
        for _ in trial.epochs(4):
            walk.at += (
                generator.random(2) + np.random.rand() + torch.rand(2, generator=shared).numpy()
            )
            trial.report(loss=walk.at.sum())

    whole = Runner(tmp_path / "whole", train)
    expected = whole.final(whole.run())["walk"]
    other = Runner(tmp_path / "other", train)
    found = other.final(other.until_done([1, 1, 1]))["walk"]
    assert np.array_equal(found["at"], expected["at"])
    assert other.reports == whole.reports


def test_two_phases_resume(tmp_path: Path) -> None:
    """A trial with two loops, the second with more objects, goes on in either."""

    def train(trial):
        body = torch.nn.Linear(2, 2)
        trial.track(body=body)
        for _ in trial.epochs(2):
            body.weight.data += torch.rand(2, 2)
            trial.report(loss=body.weight.sum())
        head = torch.nn.Linear(2, 1)
        trial.track(head=head)
        for _ in trial.epochs(4):
            head.weight.data += torch.rand(1, 2)
            trial.report(loss=head.weight.sum())
        trial.report(test=body.weight.sum() + head.weight.sum())

    whole = Runner(tmp_path / "whole", train)
    expected = whole.final(whole.run())
    for stop in (1, 2, 3, 4):
        other = Runner(tmp_path / str(stop), train)
        assert same(other.final(other.until_done([stop])), expected), stop
        assert other.reports == whole.reports
