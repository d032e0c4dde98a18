"""Gradients between accumulation and the optimizer's step are resumed; used ones cost nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from trial_harness import Recorder, Runner, same

from sweep.checkpoint.policy import Policy

KILL_AT = -1


def accumulate(trial: Any) -> None:
    """Two modules, of which one has its gradient zeroed in place; four micro-batches a step."""
    torch.set_num_threads(1)
    params = trial.params
    body, head = nn.Linear(4, 4), nn.Linear(4, 1)
    optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], lr=0.05)
    tracked = {"optimizer": optimizer}
    if params.get("modules", True):
        tracked |= {"body": body, "head": head}
    else:  # the optimizer knows all of the weights
        tracked |= {"both": _Weights([body, head])}
    trial.track(**tracked)
    loader = trial.loader(torch.arange(40.0).view(10, 4) / 40, batch_size=1, shuffle=True)
    optimizer.zero_grad()
    for _ in trial.epochs(2):
        if params.get("each_epoch"):
            optimizer.zero_grad()
        for batch in loader:
            loss = (head(torch.tanh(body(batch))) - torch.rand(())).pow(2).mean()
            loss.backward()
            if trial.global_step % 4 == 3:
                nn.utils.clip_grad_norm_(body.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=params.get("set_to_none", True))
            trial.step()
            if trial.global_step == KILL_AT:
                trial.checkpoint(wait=True)
                os.kill(os.getpid(), signal.SIGKILL)
        trial.report(loss=0)


class _Weights:
    """A state of modules that is no module."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self._modules = nn.ModuleList(modules)

    def state_dict(self) -> Any:
        return self._modules.state_dict()

    def load_state_dict(self, state: Any) -> None:
        self._modules.load_state_dict(state)


def _attempt(root: Path, params: dict[str, Any], at: int) -> None:
    global KILL_AT
    KILL_AT = at
    Runner(root, accumulate, params=params, policy=Policy()).run()


@pytest.mark.parametrize(
    "params",
    [{}, {"modules": False}, {"set_to_none": False}, {"each_epoch": True}],
    ids=["modules", "optimizer alone", "zeroed in place", "zeroed in each epoch"],
)
def test_stopped_at_every_micro_batch(tmp_path: Path, params: dict[str, Any]) -> None:
    """Bit-exact from any micro-batch, wherever the loop zeroes its gradients."""
    whole = Runner(tmp_path / "whole", accumulate, params=params)
    link = whole.run()
    expected = whole.final(link)
    for stop in range(1, link.safe_points + 1):
        other = Runner(tmp_path / str(stop), accumulate, params=params, policy=Policy())
        assert same(other.final(other.until_done([stop, 1])), expected), stop


def test_killed_at_every_micro_batch(tmp_path: Path) -> None:
    """Killed for real at each micro-batch of an optimizer's step, it ends with the same bits."""
    whole = Runner(tmp_path / "whole", accumulate)
    expected = whole.final(whole.run())
    for at in (1, 2, 3, 4, 13):
        root = tmp_path / str(at)
        child = multiprocessing.get_context("fork").Process(target=_attempt, args=(root, {}, at))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        runner = Runner(root, accumulate)
        manifests = root / "checkpoints" / "manifests"
        runner.known = [str(path.relative_to(manifests)) for path in manifests.glob("*/*.json")]
        assert same(runner.final(runner.run(session=2)), expected), at


def tree(runner: Runner, link: Recorder) -> Any:
    return runner.store.read(link.records[-1].manifest).tree


@pytest.mark.parametrize("zero", ["none", "in place", "before", "never saved"])
def test_used_gradients_are_not_saved(tmp_path: Path, zero: str) -> None:
    """After the optimizer's step a checkpoint is as large as ever, wherever gradients lie."""

    def train(trial: Any) -> None:
        model = nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        trial.track(model, optimizer)
        for _ in trial.epochs(2):
            if zero == "before":
                optimizer.zero_grad()
            model(torch.ones(1, 4)).sum().backward()
            optimizer.step()
            if zero in ("none", "in place"):
                optimizer.zero_grad(set_to_none=zero == "none")

    runner = Runner(tmp_path, train)
    assert "gradients" not in tree(runner, runner.run(Recorder(stop_at=1)))


def test_sparse_gradients_warn(tmp_path: Path, caplog: Any) -> None:
    """What cannot be saved is said at the first such save, with the way out."""

    def train(trial: Any) -> None:
        model = nn.Embedding(5, 2, sparse=True)
        trial.track(model)
        for _ in trial.epochs(2):
            model(torch.tensor([1])).sum().backward()

    with caplog.at_level("WARNING"):
        Runner(tmp_path, train).run()
    assert caplog.text.count("call trial.step() after the optimizer's step only") == 1


def test_nothing_is_watched_after_an_attempt(tmp_path: Path) -> None:
    """The hook on torch's optimizers ends with the attempt, and offline trials need none."""
    from torch.optim.optimizer import _global_optimizer_post_hooks

    before = len(_global_optimizer_post_hooks)
    runner = Runner(tmp_path, accumulate)
    runner.run(Recorder(stop_at=3))
    assert len(_global_optimizer_post_hooks) == before
