"""What people type first works, in a study and offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trial_harness import Runner, same

from sweep.errors import UsageError
from sweep.trial.outcome import Outcome
from sweep.trial.trial import Trial

PARAMS = {"lr": 0.1, "optimizer.name": "sgd", "optimizer.momentum": 0.9, "a.b.c": 1}


def ran(tmp_path: Path, train: Any) -> dict[int, dict[str, float]]:
    runner = Runner(tmp_path, train, params=PARAMS)
    link = runner.run()
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    return runner.reports


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            lambda trial: trial.report({"loss": 1.5, "acc": torch.tensor(2)}),
            {"loss": 1.5, "acc": 2},
        ),
        (lambda trial: trial.report(0.5), {"loss": 0.5}),
        (lambda trial: trial.report(np.float32(0.5)), {"loss": 0.5}),
        (lambda trial: trial.report(torch.tensor([0.5])), {"loss": 0.5}),
        (lambda trial: trial.report(0.5, acc=1), {"loss": 0.5, "acc": 1}),
        (lambda trial: trial.report({"acc": 1}, loss=2), {"loss": 2, "acc": 1}),
        (lambda trial: trial.report(values=3, metrics=4), {"values": 3, "metrics": 4}),
    ],
)
def test_report(tmp_path: Path, call: Any, expected: dict[str, float]) -> None:
    """A mapping, a number (the study's metric) and keywords are reported alike."""

    def train(trial: Any) -> None:
        for _ in trial.epochs(1):
            call(trial)

    assert ran(tmp_path, train) == {0: expected}
    trial = Trial.offline(PARAMS)
    call(trial)
    metrics = {name: value for name, value in trial.reports[0].items() if name != "step"}
    named = {
        "objective" if name == "loss" and v == 0.5 else name: v for name, v in expected.items()
    }
    assert metrics == named


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda trial: trial.report(), "at least one metric"),
        (lambda trial: trial.report({}), "at least one metric"),
        (lambda trial: trial.report({1: 2}), "must be a string"),
        (lambda trial: trial.report("0.5"), "must be a number"),
        (lambda trial: trial.report({"loss": 1}, loss=2), "loss is given twice"),
    ],
)
def test_report_refuses(call: Any, words: str) -> None:
    """What is no metric is refused by name."""
    with pytest.raises(TypeError, match=words):
        call(Trial.offline({}))


def test_track_by_class(tmp_path: Path) -> None:
    """Objects without a name have that of their class, in checkpoints and on a resume."""

    def train(trial: Any) -> None:
        model = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=trial["lr"])
        loader = trial.loader([1, 2])
        trial.track(model, optimizer, loader, extra=nn.Linear(1, 1))
        trial.track(model)
        trial.track({"mine": nn.Linear(1, 2)})
        for _ in trial.epochs(3):
            trial.report(model.weight.sum())
            nn.init.normal_(model.weight)

    whole = Runner(tmp_path / "whole", train, params=PARAMS)
    expected = whole.final(whole.run())
    assert sorted(expected) == ["Linear", "SGD", "extra", "mine"]
    other = Runner(tmp_path / "other", train, params=PARAMS)
    assert same(other.final(other.until_done([2])), expected)


@pytest.mark.parametrize(
    "track",
    [
        lambda trial: trial.track(nn.Linear(1, 1), nn.Linear(1, 1)),
        lambda trial: [trial.track(nn.Linear(1, 1)) for _ in range(2)],
    ],
)
def test_two_of_one_class(track: Any) -> None:
    """Two objects of one class need names, since their order is none."""
    with pytest.raises(UsageError, match=r"two objects are a Linear: give them names"):
        track(Trial.offline({}))


def test_one_name_for_two_objects() -> None:
    """A name stands for one object, however it was given."""
    with pytest.raises(UsageError, match="'Linear' is the name of two objects"):
        Trial.offline({}).track(nn.Linear(1, 1), Linear=nn.Linear(1, 1))
    with pytest.raises(TypeError, match="int is a int, which has no state_dict"):
        Trial.offline({}).track(3)


def test_params() -> None:
    """Subscripts of the trial, containment, and dictionaries: flat, nested, and as arguments."""
    trial = Trial.offline(PARAMS)
    assert trial["lr"] == trial.params["lr"] == 0.1
    assert trial["optimizer"].momentum == trial["optimizer.momentum"] == 0.9
    assert "lr" in trial.params
    assert "lr" in trial
    assert "momentum" not in trial
    assert dict(trial.params) == PARAMS
    nested = {
        "lr": 0.1,
        "optimizer": {"name": "sgd", "momentum": 0.9},
        "a": {"b": {"c": 1}},
    }
    assert trial.params.to_dict() == nested
    assert json.loads(json.dumps(trial.params.to_dict())) == nested
    assert trial.params.optimizer.to_dict() == {"name": "sgd", "momentum": 0.9}

    def call(**given: Any) -> dict[str, Any]:
        return given

    assert call(**trial.params) == PARAMS
    assert call(**trial.params.optimizer) == {"name": "sgd", "momentum": 0.9}
    with pytest.raises(KeyError, match="did you mean lr"):
        trial["lrr"]
    with pytest.raises(TypeError, match="not iterable"):
        list(trial)
