"""Loops that are not over `Trial.epochs`: their reports and steps are safe points, too."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from trial_harness import Recorder, Runner, same

from sweep.checkpoint.fork import write_fork
from sweep.checkpoint.policy import Policy
from sweep.trial.message import Verdict
from sweep.trial.outcome import Outcome

Program = Callable[[Any], Any]
KILL_AT = -1


def trained(trial: Any) -> tuple[torch.nn.Module, Callable[[], float]]:
    """A model that is tracked, and a step of its training, with random numbers."""
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    trial.track(model=model, optimizer=optimizer)

    def advance() -> float:
        optimizer.zero_grad()
        loss = (model(torch.rand(4, 3)) - 1).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, advance


def plain(trial: Any) -> None:
    _, advance = trained(trial)
    for epoch in range(6):
        trial.report(loss=advance(), epoch=epoch)


def started(trial: Any) -> None:
    _, advance = trained(trial)
    for epoch in range(trial.start, 6):
        trial.report(loss=advance(), epoch=epoch)
        if epoch == KILL_AT:
            trial.checkpoint(wait=True)
            os.kill(os.getpid(), signal.SIGKILL)


def stepped(trial: Any) -> None:
    _, advance = trained(trial)
    for step in range(trial.global_step, 8):
        loss = advance()
        if step % 3 == 2:
            trial.report(loss=loss, step=step)
        trial.step()


def batches(trial: Any) -> None:
    """Steps within epochs that are counted by their reports."""
    _, advance = trained(trial)
    for epoch in range(trial.start, 4):
        for _ in range(3):
            loss = advance()
            trial.step()
        trial.report(loss=loss, epoch=epoch)


def loaded(trial: Any) -> None:
    """A loader in each of such epochs."""
    model, advance = trained(trial)
    loader = trial.loader(list(range(5)), batch_size=2, shuffle=True)
    for _ in range(trial.start, 3):
        for batch in loader:
            with torch.no_grad():
                model.weight += batch.sum() * 0.001
            advance()
            trial.step()
        trial.report(loss=float(model.weight.sum().detach()))


def counted(trial: Any) -> None:
    """Steps alone, in a loop that does not say where it goes on."""
    _, advance = trained(trial)
    for _ in range(5):
        advance()
        trial.step()


def whole(root: Path, program: Program, **fields: Any) -> tuple[Runner, Any, Recorder]:
    runner = Runner(root, program, **fields)
    link = runner.run()
    return runner, runner.final(link), link


@pytest.mark.parametrize("program", [plain, started, stepped, batches, loaded, counted])
@pytest.mark.parametrize("policy", [Policy(epochs=1), Policy(steps=2), Policy()])
def test_stopped_at_any_safe_point(tmp_path: Path, program: Program, policy: Policy) -> None:
    """Nothing is skipped or repeated: weights and reports are those of an uninterrupted run."""
    undisturbed, expected, link = whole(tmp_path / "whole", program, policy=policy)
    for stop in range(1, link.safe_points + 1):
        other = Runner(tmp_path / str(stop), program, policy=policy)
        assert same(other.final(other.until_done([stop, 2])), expected), stop
        assert other.reports == undisturbed.reports, stop


@pytest.mark.parametrize("program", [plain, started])
def test_each_report_saves(tmp_path: Path, program: Program) -> None:
    """A report outside of epochs is a safe point that saves; `every: {epochs: 1}` counts it."""
    link = Runner(tmp_path, program).run()
    expected = [f"3@{report}.0" for report in range(1, 7)]
    ids = [record.id for record in link.records if not record.id.endswith(".final")]
    assert ids[-5:] == expected[-5:]
    assert (ids == expected) == (program is started)  # the first of `plain` may be a preamble


def test_what_was_reported_is_not_trained_again(tmp_path: Path) -> None:
    """A loop that begins at `trial.start` makes only what is left, and knows where it came from."""
    begun: list[tuple[int, str | None]] = []

    def train(trial: Any) -> None:
        begun.append((trial.start, trial.resumed_from))
        started(trial)

    runner = Runner(tmp_path, train)
    runner.run(Recorder(stop_at=4))
    link = runner.run()
    assert begun == [(0, None), (4, "3@4.0")]
    assert [report.step for report in _reports(link)] == [4, 5]


def _reports(link: Recorder) -> list[Any]:
    from sweep.trial.message import Reported

    return link.of(Reported)


def test_a_loop_that_begins_anew_starts_from_scratch(tmp_path: Path, caplog: Any) -> None:
    """Trained weights are not trained again from the first epoch; a warning says what to write."""
    runner = Runner(tmp_path, plain)
    with caplog.at_level("WARNING"):
        assert runner.run(Recorder(stop_at=4)).ended.outcome is Outcome.STOPPED
        assert "a resume would start the trial from scratch" in caplog.text
        caplog.clear()
        link = runner.run()
    assert "the trial starts from scratch; write `for epoch in trial.epochs(n)`" in caplog.text
    assert [report.step for report in _reports(link)][-6:] == list(range(6))


def test_an_edited_loop_goes_on(tmp_path: Path) -> None:
    """What a plain loop has saved is not lost: with `trial.start` in it, it goes on from there."""
    runner = Runner(tmp_path, plain)
    runner.run(Recorder(stop_at=4))
    edited = Runner(tmp_path, started)
    edited.known, edited.reports = runner.known, runner.reports
    expected = whole(tmp_path / "whole", started)[1]
    link = edited.run(session=2)
    assert [report.step for report in _reports(link)] == [4, 5]
    assert same(edited.final(link), expected)


def test_a_fork_cannot_begin_anew(tmp_path: Path) -> None:
    """A fork of a loop that does not say where it goes on fails, with the way out."""
    parent = Runner(tmp_path, plain)
    source = parent.run(Recorder(stop_at=4)).records[-1]
    fork = Runner(tmp_path, plain, trial=4, fork=True)
    fork.known.append(write_fork(parent.store, source, trial=4, session=1, params={}).manifest)
    reason = str(fork.run().ended.reason)
    assert "begun it anew, which would repeat what was done" in reason
    assert "range(trial.start, n)" in reason


def test_pruned_at_a_report(tmp_path: Path) -> None:
    """A verdict on a report outside of epochs takes effect there, and the state is saved."""

    def verdict(report: Any) -> Verdict:
        return Verdict.PRUNE if report.step == 2 else Verdict.CONTINUE

    link = Runner(tmp_path, plain, verdicts=True).run(Recorder(verdict=verdict))
    assert link.ended.outcome is Outcome.PRUNED
    assert link.records[-1].id.startswith("3@3.0")


def test_a_preamble_is_not_saved(tmp_path: Path) -> None:
    """A report before the epochs is one of their preamble, and saves nothing."""

    def train(trial: Any) -> None:
        _, advance = trained(trial)
        trial.report(loss=9.0)
        for _ in trial.epochs(2):
            trial.report(loss=advance())

    undisturbed, expected, link = whole(tmp_path / "whole", train)
    assert [record.id for record in link.records] == ["3@2.0", "3@3.0", "3@3.0.final"]
    for stop in range(1, link.safe_points + 1):
        other = Runner(tmp_path / str(stop), train)
        assert same(other.final(other.until_done([stop])), expected)
        assert other.reports == undisturbed.reports


def _attempt(root: Path, at: int) -> None:
    global KILL_AT
    KILL_AT = at
    Runner(root, started, policy=Policy()).run()


def test_killed_at_a_report(tmp_path: Path) -> None:
    """Killed for real after a report that saved, the loop makes only what is left."""
    expected = whole(tmp_path / "whole", started)[1]
    root = tmp_path / "killed"
    child = multiprocessing.get_context("fork").Process(target=_attempt, args=(root, 2))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    runner = Runner(root, started)
    manifests = root / "checkpoints" / "manifests"
    runner.known = [str(path.relative_to(manifests)) for path in manifests.glob("*/*.json")]
    link = runner.run(session=2)
    assert [report.step for report in _reports(link)] == [3, 4, 5]
    assert same(runner.final(link), expected)
