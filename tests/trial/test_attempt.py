"""One attempt and what the driver hears of it."""

from __future__ import annotations

import logging
import math
import os
import random
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from trial_harness import Recorder, Runner, same

from sweep.checkpoint.policy import Policy
from sweep.checkpoint.record import Kind
from sweep.trial.message import Ended, Reported, Restored, Saved, Verdict
from sweep.trial.outcome import Outcome, TrialStopped


def counting(trial):
    """Tracks nothing but its place; two steps an epoch."""
    trial.track()
    for epoch in trial.epochs(trial.params.get("epochs", 3)):
        trial.step()
        trial.report(loss=10.0 - epoch)


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


@pytest.mark.parametrize("leave", ["return", "break", "last epoch"])
def test_prune_where_the_function_ends_first(tmp_path: Path, leave: str) -> None:
    """A trial that is pruned in the epoch in which it ends by itself is pruned."""

    def train(trial):
        trial.track()
        for _ in trial.epochs(1 if leave == "last epoch" else 5):
            trial.report(loss=1)
            if leave == "return":
                return
            if leave == "break":
                break

    link = Recorder(verdict=lambda report: Verdict.PRUNE)
    Runner(tmp_path, train, verdicts=True).run(link)
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


def test_seed_follows_from_study_and_trial(tmp_path: Path) -> None:
    """What a trial draws depends on the study's seed and its number, and on nothing else."""

    def draws(**fields: int) -> list[float]:
        drawn: list[float] = []

        def train(trial):
            drawn.extend([random.random(), np.random.rand(), torch.rand(()).item(), trial.seed])

        Runner(tmp_path, train, **fields).run()
        return drawn

    first = draws(seed=1, trial=5)
    random.seed(1234)
    torch.rand(7)
    assert draws(seed=1, trial=5) == first
    for other in (draws(seed=2, trial=5), draws(seed=1, trial=6)):
        assert all(one != another for one, another in zip(first, other, strict=True))


def test_nothing_leaks_into_the_next_attempt(tmp_path: Path) -> None:
    """An attempt may change the process as it likes; the next one finds it as it was."""

    def messy(trial):
        logging.basicConfig(level=logging.DEBUG, force=True)
        trial.log.addHandler(logging.NullHandler())
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        torch.set_default_device("meta")
        os.environ["MESSY"] = "1"
        os.chdir("/")
        sys.path.insert(0, "/messy")
        raise ValueError("and fails")

    def probe() -> dict[str, object]:
        found: dict[str, object] = {}

        def look(trial):
            root = logging.getLogger()
            found.update(
                handlers=list(root.handlers),
                own=len(trial.log.handlers),
                level=root.level,
                grad=torch.is_grad_enabled(),
                dtype=torch.get_default_dtype(),
                deterministic=torch.are_deterministic_algorithms_enabled(),
                device=torch.get_default_device(),
                environment=dict(os.environ),
                directory=Path.cwd(),
                path=list(sys.path),
                drawn=[random.random(), np.random.rand(), torch.rand(()).item()],
            )

        assert Runner(tmp_path, look).run().ended.outcome is Outcome.COMPLETE
        return found

    before = probe()
    for _ in range(2):
        assert Runner(tmp_path, messy).run().ended.reason == "ValueError: and fails"
    assert probe() == before


def test_failed_attempt_lets_go_of_what_it_held(tmp_path: Path) -> None:
    """The objects of a failed trial are freed although a traceback of it was taken."""
    import weakref

    kept = []

    def train(trial):
        model = torch.nn.Linear(2, 2)
        kept.append(weakref.ref(model))
        trial.track(model=model)
        raise ValueError("x")

    Runner(tmp_path, train).run()
    import gc

    gc.collect()
    assert kept[0]() is None


def test_threads(tmp_path: Path) -> None:
    """Torch and what is told by the environment use as many threads as the trial has."""
    found = []

    def train(trial):
        found.append((torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]))

    before = torch.get_num_threads()
    try:
        for count in (1, 2, 1):
            Runner(tmp_path, train, threads=count).run()
    finally:
        torch.set_num_threads(before)
    assert found == [(1, "1"), (2, "2"), (1, "1")]


def test_directory(tmp_path: Path) -> None:
    """Each attempt has a scratch directory of its own, made only where it is asked for."""
    found = []

    def train(trial):
        trial.track()
        found.extend(trial.directory for _ in trial.epochs(2))

    runner = Runner(tmp_path, train)
    runner.until_done([1])
    assert found == [tmp_path / "scratch" / "00003" / "1.1", tmp_path / "scratch/00003/1.2"]
    assert all(path.is_dir() for path in found)
    Runner(tmp_path / "other", counting).run()
    assert not (tmp_path / "other" / "scratch").exists()


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
