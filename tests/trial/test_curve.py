"""The rates of a fork, or of a program that was changed, are those of a direct calculation."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as schedules
from trial_harness import Recorder, Runner

from sweep.checkpoint.fork import write_fork
from sweep.trial.message import Reported
from sweep.trial.outcome import Outcome

PARENT = {"lr": 0.1, "epochs": 8, "floor": 0.0}


def warmed(optimizer: Any, p: Any) -> Any:
    warm = schedules.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    cosine = schedules.CosineAnnealingLR(optimizer, T_max=p["epochs"] - 3, eta_min=p["floor"])
    return schedules.SequentialLR(optimizer, [warm, cosine], milestones=[3])


def chained(optimizer: Any, p: Any) -> Any:
    return schedules.ChainedScheduler(
        [
            schedules.ConstantLR(optimizer, factor=0.5, total_iters=2),
            schedules.ExponentialLR(optimizer, gamma=0.5 ** (1 / p["epochs"])),
        ]
    )


def cyclic(optimizer: Any, p: Any) -> Any:
    up = p["epochs"] // 2
    return schedules.CyclicLR(optimizer, p["floor"] + p["lr"] / 10, p["lr"], step_size_up=up)


def fall(epochs: int, at: int) -> float:
    return max(0.0, 1 - at / epochs)


SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "OneCycleLR": lambda o, p: schedules.OneCycleLR(o, p["lr"], total_steps=p["epochs"] + 1),
    "LambdaLR": lambda o, p: schedules.LambdaLR(o, lambda at: 1 - at / p["epochs"] / 2),
    "LambdaLR of a partial": lambda o, p: schedules.LambdaLR(
        o, functools.partial(fall, p["epochs"])
    ),
    "MultiplicativeLR": lambda o, p: schedules.MultiplicativeLR(o, lambda at: 1 - 1 / p["epochs"]),
    "CosineAnnealingLR": lambda o, p: schedules.CosineAnnealingLR(o, p["epochs"], p["floor"]),
    "CosineAnnealingWarmRestarts": lambda o, p: schedules.CosineAnnealingWarmRestarts(
        o, T_0=max(1, p["epochs"] // 3), T_mult=2, eta_min=p["floor"]
    ),
    "SequentialLR": warmed,
    "ChainedScheduler": chained,
    "CyclicLR": cyclic,
    "StepLR": lambda o, p: schedules.StepLR(o, step_size=max(1, p["epochs"] // 3), gamma=0.3),
    "MultiStepLR": lambda o, p: schedules.MultiStepLR(o, [p["epochs"] // 3, p["epochs"] - 1]),
    "PolynomialLR": lambda o, p: schedules.PolynomialLR(o, total_iters=p["epochs"], power=2.0),
    "LinearLR": lambda o, p: schedules.LinearLR(o, 0.2, total_iters=p["epochs"]),
}


def built(params: Any, kind: str) -> tuple[torch.optim.Optimizer, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))]
        groups = [{"params": [weights[0]]}, {"params": [weights[1]], "momentum": 0.8}]
        optimizer = torch.optim.SGD(groups, lr=params["lr"], momentum=0.9)
        return optimizer, SCHEDULES[kind](optimizer, params)


def direct(params: Any, kind: str) -> list[tuple[float, float]]:
    """Rate and momentum of each epoch, by nothing but torch."""
    optimizer, schedule = built(params, kind)
    seen = []
    for _ in range(params["epochs"]):
        group = optimizer.param_groups[-1]
        seen.append((float(group["lr"]), group["momentum"]))
        advance(optimizer, schedule)
    return seen


def advance(optimizer: Any, schedule: Any) -> None:
    optimizer.step()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The epoch parameter")
        schedule.step()


def train(trial: Any, kind: str | None = None, epochs: int | None = None) -> None:
    params = dict(trial.params)
    optimizer, schedule = built({**params, "epochs": epochs or params["epochs"]}, params["kind"])
    if params.get("order") == "schedule first":
        trial.track(schedule=schedule, optimizer=optimizer)
    elif params.get("order") == "two calls":
        trial.track(schedule)
        trial.track(optimizer)
    else:
        trial.track(optimizer=optimizer, schedule=schedule)
    for _ in trial.epochs(epochs or params["epochs"]):
        group = optimizer.param_groups[-1]
        trial.report(loss=float(group["lr"]), momentum=group["momentum"])
        advance(optimizer, schedule)


def seen(link: Recorder) -> list[tuple[float, float]]:
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    return [(each.metrics["loss"], each.metrics["momentum"]) for each in link.of(Reported)]


def fork(runner: Runner, record: Any, root: Path, program: Any = train, **params: Any) -> Runner:
    made = Runner(root, program, params=params, trial=4, fork=True)
    made.known.append(write_fork(runner.store, record, trial=4, session=1, params=params).manifest)
    return made


CHANGES = [{"lr": 0.02}, {"epochs": 20}, {"floor": 0.003}, {"lr": 0.02, "epochs": 20}]


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_fork_is_on_its_own_curve(tmp_path: Path, kind: str, change: Any) -> None:
    """From its first epoch on, to the bit, whatever the schedule was built from is changed."""
    parent = Runner(tmp_path, train, params={**PARENT, "kind": kind})
    record = parent.run(Recorder(stop_at=5)).records[-1]
    params = {**PARENT, "kind": kind, **change}
    assert seen(fork(parent, record, tmp_path, **params).run()) == direct(params, kind)[5:]


@pytest.mark.parametrize("order", ["schedule first", "two calls"])
@pytest.mark.parametrize("kind", ["CosineAnnealingLR", "OneCycleLR", "SequentialLR", "LambdaLR"])
def test_in_whatever_order_they_are_tracked(tmp_path: Path, kind: str, order: str) -> None:
    """A schedule may be tracked before its optimizer."""
    parent = Runner(tmp_path, train, params={**PARENT, "kind": kind, "order": order})
    record = parent.run(Recorder(stop_at=5)).records[-1]
    params = {**PARENT, "kind": kind, "order": order, "lr": 0.03, "epochs": 12}
    assert seen(fork(parent, record, tmp_path, **params).run()) == direct(params, kind)[5:]


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_fork_of_the_end_and_one_of_a_fork(tmp_path: Path, kind: str, caplog: Any) -> None:
    """A fork of a complete trial with more epochs trains at its rates; so does a stopped one."""
    if kind == "OneCycleLR":  # it says that it is over
        return
    parent = Runner(tmp_path, train, params={**PARENT, "kind": kind})
    record = parent.run().records[-1]
    params = {**PARENT, "kind": kind, "epochs": 20}
    longer = fork(parent, record, tmp_path, **params)
    with caplog.at_level("INFO"):
        first = longer.run(Recorder(stop_at=4))
    assert "'schedule' is built otherwise" in caplog.text
    rest = longer.run()
    reports = [each.metrics["loss"] for link in (first, rest) for each in link.of(Reported)]
    assert reports == [rate for rate, _ in direct(params, kind)[8:]]


@pytest.mark.parametrize("kind", ["CosineAnnealingLR", "OneCycleLR", "StepLR", "SequentialLR"])
def test_a_program_that_was_extended(tmp_path: Path, kind: str) -> None:
    """A resumed trial whose program builds its schedule for more epochs is on the longer curve."""
    runner = Runner(tmp_path, train, params={**PARENT, "kind": kind})
    runner.run(Recorder(stop_at=5))
    longer = Runner(
        tmp_path, lambda trial: train(trial, epochs=20), params={**PARENT, "kind": kind}
    )
    longer.known = runner.known
    assert seen(longer.run(session=2)) == direct({**PARENT, "epochs": 20}, kind)[5:]


@pytest.mark.parametrize("kind", SCHEDULES)
def test_without_a_change_the_state_is_restored(tmp_path: Path, kind: str) -> None:
    """A resume, and a fork that changes nothing of a schedule, follow the curve as it was."""
    runner = Runner(tmp_path, train, params={**PARENT, "kind": kind})
    record = runner.run(Recorder(stop_at=5)).records[-1]
    copy = fork(runner, record, tmp_path, **{**PARENT, "kind": kind, "other": 1})
    expected = direct(PARENT, kind)[5:]
    assert seen(copy.run()) == expected
    assert seen(runner.run()) == expected


def test_too_few_steps_are_refused(tmp_path: Path) -> None:
    """A schedule that cannot be taken to the fork's step is refused, with the way out."""
    params = {**PARENT, "kind": "OneCycleLR"}
    parent = Runner(tmp_path, train, params=params)
    record = parent.run(Recorder(stop_at=6)).records[-1]
    reason = str(fork(parent, record, tmp_path, **{**params, "epochs": 3}).run().ended.reason)
    assert "cannot be taken to its step 6" in reason
    assert "fork an earlier checkpoint, or build it for more steps" in reason


def late(trial: Any) -> None:
    """The schedule is made after the optimizer was restored, the trap of torch's."""
    params = dict(trial.params)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=params["lr"])
    trial.track(optimizer=optimizer)
    schedule = SCHEDULES[params["kind"]](optimizer, params)
    trial.track(schedule=schedule)
    for _ in trial.epochs(params["epochs"]):
        trial.report(loss=float(optimizer.param_groups[0]["lr"]), momentum=0)
        advance(optimizer, schedule)


@pytest.mark.parametrize(
    "kind", [kind for kind in SCHEDULES if kind not in ("CyclicLR", "OneCycleLR")]
)
def test_a_schedule_made_after_its_optimizer_was_restored(tmp_path: Path, kind: str) -> None:
    """A resume has the rates of an uninterrupted run; a fork with a change says what to do."""
    params = {**PARENT, "kind": kind}
    expected = seen(Runner(tmp_path / "whole", late, params=params).run())
    runner = Runner(tmp_path, late, params=params)
    record = runner.run(Recorder(stop_at=5)).records[-1]
    assert seen(runner.run()) == expected[5:]
    changed = fork(runner, record, tmp_path, late, **{**params, "lr": 0.01})
    assert "make it before trial.track(optimizer=...)" in str(changed.run().ended.reason)


def test_a_schedule_that_goes_by_metrics(tmp_path: Path) -> None:
    """ReduceLROnPlateau keeps what it has counted; its rate is scaled to that of the fork."""

    def plateau(trial: Any) -> None:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=trial.params.lr)
        schedule = schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        trial.track(optimizer, schedule)
        for _ in trial.epochs(9):
            trial.report(loss=optimizer.param_groups[0]["lr"], momentum=0)
            optimizer.step()
            schedule.step(1.0)

    parent = Runner(tmp_path, plateau, params={"lr": 0.1})
    record = parent.run(Recorder(stop_at=5)).records[-1]
    expected = seen(Runner(tmp_path / "direct", plateau, params={"lr": 0.02}).run())[5:]
    rates = seen(fork(parent, record, tmp_path, plateau, lr=0.02).run())
    assert [rate for rate, _ in rates] == pytest.approx([rate for rate, _ in expected])
