"""Hyperparameters of a fork win over those that its checkpoint's optimizer and schedule hold."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as schedules
from trial_harness import Recorder, Runner, same

from sweep.checkpoint import manifest as manifests
from sweep.checkpoint.codec import encode
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.fork import write_fork
from sweep.checkpoint.record import CheckpointRecord
from sweep.trial.born import refitted
from sweep.trial.outcome import Outcome

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "adam": lambda p, lr: torch.optim.Adam(p, lr=lr, betas=(0.9, 0.99)),
    "groups": lambda p, lr: torch.optim.AdamW(
        [{"params": [one], "lr": lr * (i + 1)} for i, one in enumerate(p)], lr=lr
    ),
    "tensor": lambda p, lr: torch.optim.Adam(p, lr=torch.tensor(lr, dtype=torch.float64)),
}
SCHEDULES: dict[str, Callable[[Any, float], Any]] = {
    "none": lambda optimizer, lr: None,
    "step": lambda optimizer, lr: schedules.StepLR(optimizer, step_size=2, gamma=0.5),
    "multistep": lambda optimizer, lr: schedules.MultiStepLR(optimizer, [2, 5], gamma=0.1),
    "cosine": lambda optimizer, lr: schedules.CosineAnnealingLR(optimizer, T_max=8),
    "onecycle": lambda optimizer, lr: schedules.OneCycleLR(optimizer, max_lr=lr, total_steps=12),
    "lambda": lambda optimizer, lr: schedules.LambdaLR(optimizer, lambda at: 0.9**at),
    "warmup": lambda optimizer, lr: schedules.SequentialLR(
        optimizer,
        [
            schedules.LinearLR(optimizer, start_factor=0.25, total_iters=3),
            schedules.ExponentialLR(optimizer, gamma=0.5),
        ],
        milestones=[3],
    ),
}
EPOCHS = 8


def train(trial: Any) -> None:
    """A tiny regression; what it reports is the learning rate that each epoch is trained with."""
    params = trial.params
    model = torch.nn.Linear(3, params.get("width", 2))
    optimizer = OPTIMIZERS[params.optimizer](list(model.parameters()), params.lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule = SCHEDULES[params.schedule](optimizer, params.lr)
    tracked = {} if schedule is None else {"schedule": schedule}
    trial.track(model=model, optimizer=optimizer, **tracked)
    for _ in trial.epochs(EPOCHS):
        group = optimizer.param_groups[-1]
        moment = group.get("momentum", group.get("betas", (0.0,))[0])
        trial.report(loss=float(group["lr"]), momentum=float(moment))
        model(torch.randn(4, 3)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if schedule is not None:
            schedule.step()


def at_epoch(runner: Runner, stop: int) -> CheckpointRecord:
    link = runner.run(Recorder(stop_at=stop))
    assert link.ended.outcome is Outcome.STOPPED, link.ended.error
    return link.records[-1]


def forked(runner: Runner, source: CheckpointRecord, root: Path, **params: Any) -> Runner:
    """A trial forked off ``source``, with ``params``."""
    fork = Runner(root, train, params=params, trial=4, fork=True)
    record = write_fork(runner.store, source, trial=4, session=1, params=params)
    fork.known.append(record.manifest)
    return fork


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        *itertools.product(["sgd", "adam", "groups"], SCHEDULES),
        ("tensor", "step"),  # other schedules take the tensor itself for the initial rate
    ],
)
def test_a_fork_trains_with_its_own_rate(tmp_path: Path, optimizer: str, schedule: str) -> None:
    """From the fork on, each epoch has the rate of a run that had the new one from the start."""
    params = {"optimizer": optimizer, "schedule": schedule, "lr": 0.1}
    parent = Runner(tmp_path, train, params=params)
    source = at_epoch(parent, 4)
    fork = forked(parent, source, tmp_path, **{**params, "lr": 0.01})
    link = fork.run()
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    other = Runner(tmp_path / "other", train, params={**params, "lr": 0.01})
    assert other.run().ended.outcome is Outcome.COMPLETE
    assert list(fork.reports) == [4, 5, 6, 7]
    for epoch, metrics in fork.reports.items():
        assert metrics == pytest.approx(other.reports[epoch], rel=1e-6), epoch


def test_a_fork_without_changes_is_its_parent(tmp_path: Path) -> None:
    """With the same parameters a fork ends with the weights of the trial it was forked off."""
    params = {"optimizer": "adam", "schedule": "cosine", "lr": 0.1}
    parent = Runner(tmp_path, train, params=params)
    source = at_epoch(parent, 4)
    fork = forked(parent, source, tmp_path, **params)
    assert same(fork.final(fork.run()), parent.final(parent.run()))


def test_a_fork_that_is_stopped_is_not_refitted_twice(tmp_path: Path) -> None:
    """An interrupted fork ends with the bits of one that was not; so does a fork of a fork."""
    params = {"optimizer": "sgd", "schedule": "step", "lr": 0.1}
    parent = Runner(tmp_path, train, params=params)
    source = at_epoch(parent, 3)
    broken = forked(parent, source, tmp_path, **{**params, "lr": 0.05})
    second = at_epoch(broken, 2)
    expected = broken.final(broken.run())
    assert broken.reports[7]["loss"] == pytest.approx(0.05 * 0.5**3)
    again = Runner(tmp_path, train, params={**params, "lr": 0.02}, trial=5, fork=True)
    record = write_fork(parent.store, second, trial=5, session=1, params={**params, "lr": 0.02})
    again.known.append(record.manifest)
    assert again.run().ended.outcome is Outcome.COMPLETE
    assert again.reports[7]["loss"] == pytest.approx(0.02 * 0.5**3)
    unbroken = Runner(tmp_path, train, params={**params, "lr": 0.05}, trial=6, fork=True)
    record = write_fork(parent.store, source, trial=6, session=1, params={**params, "lr": 0.05})
    unbroken.known.append(record.manifest)
    assert same(unbroken.final(unbroken.run()), expected)


def test_a_fork_goes_on_after_the_end_of_its_parent(tmp_path: Path) -> None:
    """Forked off a final checkpoint, the last loop is open again; with no more epochs, nothing."""

    def more(trial: Any) -> None:
        trial.track()
        for epoch in trial.epochs(2):
            trial.report(loss=epoch)
        for epoch in trial.epochs(trial.params.epochs):
            trial.report(loss=epoch)

    parent = Runner(tmp_path, more, params={"epochs": 4})
    final = parent.run().records[-1]
    fork = Runner(tmp_path, more, params={"epochs": 7}, trial=4, fork=True)
    record = write_fork(parent.store, final, trial=4, session=1, params={"epochs": 7})
    fork.known.append(record.manifest)
    assert fork.run().ended.outcome is Outcome.COMPLETE
    assert list(fork.reports) == [4, 5, 6]


def test_a_fork_never_starts_from_scratch(tmp_path: Path) -> None:
    """With its checkpoint damaged a fork fails, now and when it is tried again."""
    params = {"optimizer": "sgd", "schedule": "none", "lr": 0.1}
    parent = Runner(tmp_path, train, params=params)
    fork = forked(parent, at_epoch(parent, 3), tmp_path, **params)
    manifest = tmp_path / "checkpoints" / "manifests" / fork.known[0]
    manifest.write_bytes(manifest.read_bytes()[:-9])
    ended = fork.run().ended
    assert ended.outcome is Outcome.FAILED
    assert "cannot start from scratch" in str(ended.reason)
    fork.known.clear()
    assert "cannot start from scratch" in str(fork.run().ended.reason)


def test_another_width_is_a_mismatch(tmp_path: Path) -> None:
    """A fork whose model has another shape is refused, with both shapes."""
    params = {"optimizer": "sgd", "schedule": "none", "lr": 0.1, "width": 2}
    parent = Runner(tmp_path, train, params=params)
    fork = forked(parent, at_epoch(parent, 3), tmp_path, **{**params, "width": 5})
    reason = str(fork.run().ended.reason)
    assert "CheckpointMismatchError" in reason
    assert "[2, 3]" in reason
    assert "[5, 3]" in reason


def test_old_checkpoint_without_born_values_warns(tmp_path: Path, caplog: Any) -> None:
    """Where it is not known what the parent was built with, its rate stays, and a log says so."""
    params = {"optimizer": "sgd", "schedule": "none", "lr": 0.1}
    parent = Runner(tmp_path, train, params=params)
    source = at_epoch(parent, 3)
    tree = parent.store.read(source.manifest)
    older = {name: part for name, part in tree.tree.items() if name != "born"}
    draft = Draft(
        trial=9, attempt=1, session=1, kind=source.kind, epoch=3, global_step=0, step=2,
        parent=None, metrics={}, meta=tree.manifest.meta,
    )  # fmt: skip
    old = parent.store.write(draft, encode(older))
    fork = forked(parent, old, tmp_path, **{**params, "lr": 0.01})
    with caplog.at_level("WARNING"):
        assert fork.run().ended.outcome is Outcome.COMPLETE
    assert fork.reports[7]["loss"] == pytest.approx(0.1)
    assert "does not say what 'optimizer' was built with" in caplog.text


@pytest.mark.parametrize(
    ("saved", "old", "new", "fitted"),
    [
        (0.1, 0.1, 0.1, 0.1),
        (0.1, 0.1, 0.01, 0.01),
        (0.05, 0.1, 0.01, 0.005),
        (0.05, 0.1, 0.1, 0.05),
        (0.3, 0.0, 0.5, 0.5),
        (20, 10, 30, 60),
        (True, True, False, False),
        ((0.9, 0.5), (0.9, 0.99), (0.8, 0.99), (0.8, 0.5)),
        ([0.5, 0.25], [0.5, 1.0], [0.25, 2.0], [0.25, 0.5]),
        ([1, 2], [1], [3], [1, 2]),
        ("cos", "cos", "linear", "linear"),
        (
            {"a": {"b": 2.0}, "c": 1},
            {"a": {"b": 1.0}},
            {"a": {"b": 3.0}},
            {"a": {"b": 6.0}, "c": 1},
        ),
    ],
)
def test_numbers_are_refitted(saved: Any, old: Any, new: Any, fitted: Any) -> None:
    """Saved, born in the parent, born in the fork: what the fork goes on with."""
    assert refitted({"x": saved}, {"x": old}, {"x": new}) == {"x": fitted}


def other_origin(runner: Runner, record: CheckpointRecord, **meta: Any) -> str:
    """The checkpoint as a process would have written it whose meta data were these."""
    path = runner.store._layout.manifest(record.manifest)
    loaded = manifests.load(path.read_bytes(), "")
    path.write_bytes(manifests.dump(replace(loaded, meta={**loaded.meta, **meta})))
    return record.manifest


def test_other_parameters_are_refused_unless_forked(tmp_path: Path) -> None:
    """A resume with parameters that the checkpoint was not made with names both sides."""
    params = {"optimizer": "sgd", "schedule": "none", "lr": 0.1}
    runner = Runner(tmp_path, train, params=params)
    at_epoch(runner, 3)
    reason = str(runner.run(params={**params, "lr": 0.2}).ended.reason)
    assert "CheckpointMismatchError" in reason
    assert "lr=0.1" in reason
    assert "lr=0.2" in reason


@pytest.mark.parametrize(("version", "fits"), [("99.1", False), ("1.9", True)])
def test_a_newer_framework_is_refused(tmp_path: Path, version: str, fits: bool) -> None:
    """What a newer major version of torch saved is not read; what an older one saved is."""
    params = {"optimizer": "sgd", "schedule": "none", "lr": 0.1}
    runner = Runner(tmp_path, train, params=params)
    other_origin(runner, at_epoch(runner, 3), versions={"torch": version})
    ended = runner.run().ended
    assert (ended.outcome is Outcome.COMPLETE) == fits
    if not fits:
        assert f"torch {version}" in str(ended.reason)
        assert f"torch {torch.__version__.partition('+')[0]}" in str(ended.reason)


def test_another_dtype_is_a_mismatch(tmp_path: Path) -> None:
    """A module of another dtype would take the weights over without a word; it is refused."""
    dtype = torch.float32

    def typed(trial: Any) -> None:
        model = torch.nn.Linear(2, 2, dtype=dtype)
        trial.track(model=model)
        for _ in trial.epochs(3):
            trial.report(loss=1)

    runner = Runner(tmp_path, typed)
    at_epoch(runner, 2)
    dtype = torch.float64
    reason = str(runner.run().ended.reason)
    assert "torch.float32" in reason
    assert "torch.float64" in reason
