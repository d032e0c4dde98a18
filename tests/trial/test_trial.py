"""What a user sees of a trial, without a study."""

from __future__ import annotations

import json
import logging
import math
import pickle
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from sweep.errors import UsageError
from sweep.trial.params import Params
from sweep.trial.trial import Trial


def test_offline_in_a_unit_test() -> None:
    """A trial function can be called on its own, and what it reported can be looked at."""

    def train(trial: Trial) -> None:
        for epoch in trial.epochs(3):
            trial.report(accuracy=epoch * trial.params.lr)

    trial = Trial.offline({"lr": 0.3})
    train(trial)
    assert trial.reports[-1]["accuracy"] > 0.5
    assert [report.step for report in trial.reports] == [0, 1, 2]


def test_offline_repeats() -> None:
    """The same seed gives the same draws and batches; another seed others."""

    def run(seed: int) -> list[object]:
        trial = Trial.offline({}, seed=seed)
        loader = trial.loader(list(range(10)), batch_size=3, shuffle=True)
        drawn = [torch.rand(()).item(), np.random.rand(), trial.seed]
        return drawn + [batch.tolist() for _ in trial.epochs(2) for batch in loader]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_offline_seeds_what_is_imported_later() -> None:
    """In a fresh process, a library that is first imported inside of the trial draws as it does in
    the next trial, and no trace of the first is left behind."""
    code = """
import sys
from sweep.trial.trial import Trial
finders = list(sys.meta_path)
def run():
    trial = Trial.offline({})
    import numpy, torch
    return numpy.random.rand(), torch.rand(()).item()
first = run()
assert first == run(), (first, run())
import gc
gc.collect()
assert sys.meta_path == finders, sys.meta_path
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_offline_writes_nothing_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial with everything tracked writes no file until it is asked for its directory."""
    monkeypatch.chdir(tmp_path)
    trial = Trial.offline({}, directory="scratch")
    trial.track(model=torch.nn.Linear(2, 2))
    trial.state["x"] = 1
    for _ in trial.epochs(2):
        trial.step()
        trial.report(loss=1)
    assert list(tmp_path.iterdir()) == []
    assert trial.directory == Path("scratch")
    assert trial.directory.is_dir()


def test_offline_temporary_directory_goes_with_the_trial() -> None:
    """Without a directory of its own, a trial on its own has one as long as it lives."""
    trial = Trial.offline({})
    directory = trial.directory
    (directory / "file").write_text("x")
    assert trial.directory == directory
    del trial
    assert not directory.exists()


def test_params() -> None:
    """Parameters are attributes and items, in order, and cannot be changed."""
    params = Params({"lr": 0.1, "optimizer": "sgd", "items": 3})
    assert (params.lr, params["lr"], params["items"]) == (0.1, 0.1, 3)
    assert list(params) == ["lr", "optimizer", "items"]
    assert dict(params) == {"lr": 0.1, "optimizer": "sgd", "items": 3}
    assert params.get("momentum", 0.0) == 0.0
    assert "momentum" not in params
    assert pickle.loads(pickle.dumps(params)) == params
    with pytest.raises(AttributeError, match="cannot be changed"):
        params.lr = 2


def test_a_group_of_params_is_such_a_mapping_itself() -> None:
    """By attribute, by item and by the full name; all of them together have full names."""
    params = Params({"optimizer.name": "sgd", "optimizer.adam.eps": 0.1, "width": 3})
    assert params.optimizer.adam.eps == params["optimizer"]["adam"]["eps"] == 0.1
    assert params["optimizer.adam.eps"] == params.optimizer["adam.eps"] == 0.1
    assert dict(params.optimizer) == {"name": "sgd", "adam.eps": 0.1}
    assert list(params) == ["optimizer.name", "optimizer.adam.eps", "width"]
    assert "optimizer" in params
    assert "optimiser" not in params
    assert "adam" in params.optimizer
    assert {"optimizer", "width"} <= set(dir(params))
    assert pickle.loads(pickle.dumps(params)).optimizer.name == "sgd"
    assert Params({"a": 1, "a.b": 2}).a == 1
    with pytest.raises(AttributeError, match="did you mean name"):
        _ = params.optimizer.nam


@pytest.mark.parametrize("error", [AttributeError, KeyError])
def test_missing_parameter_says_what_there_is(error: type[Exception]) -> None:
    """A parameter that is not there names those that are, and the likely one."""
    params = Params({"learning_rate": 0.1, "width": 3})
    with pytest.raises(error, match=r"'learning_rat' \(learning_rate, width\); did you mean"):
        _ = params.learning_rat if error is AttributeError else params["learning_rat"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        (True, 1.0),
        (Fraction(1, 4), 0.25),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3.0),
        (np.array([2.0]), 2.0),
        (torch.tensor(2.5), 2.5),
        (torch.tensor([[3]]), 3.0),
        (torch.tensor(1.5, requires_grad=True), 1.5),
        (math.inf, math.inf),
    ],
)
def test_reported_numbers(value: object, expected: float) -> None:
    """Whatever is one number is reported as a float."""
    trial = Trial.offline({})
    trial.report(loss=value)
    assert trial.reports[-1]["loss"] == expected
    assert type(trial.reports[-1]["loss"]) is float


def test_nan_is_reported() -> None:
    """NaN is a value like any other to a report."""
    trial = Trial.offline({})
    trial.report(loss=float("nan"))
    assert math.isnan(trial.reports[-1]["loss"])


@pytest.mark.parametrize(
    "value", ["0.5", None, [1.0], {}, 1j, torch.ones(2), np.zeros(0), torch.tensor(1j), Decimal(1)]
)
def test_what_is_no_number_is_refused_by_name(value: object) -> None:
    """What is not one number is refused, and the message names the metric."""
    with pytest.raises(TypeError, match="the metric 'loss' must be a number"):
        Trial.offline({}).report(accuracy=1, loss=value)


def test_empty_report_is_refused() -> None:
    """A report of nothing is a mistake."""
    with pytest.raises(TypeError, match="at least one metric"):
        Trial.offline({}).report()


def test_reports_of_an_epoch_are_merged() -> None:
    """Reports inside of an epoch belong to it; later ones win; after the epochs steps go on."""
    trial = Trial.offline({})
    for _ in trial.epochs(2):
        trial.report(loss=1, accuracy=0)
        trial.report(accuracy=2)
    trial.report(test=5)
    trial.report(test=6)
    assert [(report.step, dict(report)) for report in trial.reports] == [
        (0, {"loss": 1, "accuracy": 2}),
        (1, {"loss": 1, "accuracy": 2}),
        (2, {"test": 5}),
        (3, {"test": 6}),
    ]


def test_reports_without_epochs_count_up() -> None:
    """Without epochs each report is a step."""
    trial = Trial.offline({})
    for value in (3, 2, 1):
        trial.report(loss=value)
    assert [report.step for report in trial.reports] == [0, 1, 2]


def test_epochs_count_in_all() -> None:
    """A second loop goes on where the first ended, and its length is what is left."""
    trial = Trial.offline({})
    assert len(trial.epochs(3)) == 3
    assert list(trial.epochs(3)) == [0, 1, 2]
    assert list(trial.epochs(3)) == []
    assert len(trial.epochs(5)) == 2
    assert list(trial.epochs(5)) == [3, 4]


def test_epoch_left_early() -> None:
    """An epoch that was left counts if it has reported, and is done again if it has not."""
    trial = Trial.offline({})
    for epoch in trial.epochs(9):
        if epoch == 2:
            break
        trial.report(loss=epoch)
    assert next(iter(trial.epochs(9))) == 2
    trial = Trial.offline({})
    for epoch in trial.epochs(9):
        trial.report(loss=epoch)
        if epoch == 2:
            break
    assert next(iter(trial.epochs(9))) == 3


def test_epochs_inside_of_epochs_are_refused() -> None:
    """Two loops at a time have no single position."""
    trial = Trial.offline({})
    outer = iter(trial.epochs(2))
    next(outer)
    with pytest.raises(UsageError, match="one loop at a time"):
        next(iter(trial.epochs(3)))


def test_negative_epochs_are_refused() -> None:
    """A negative number of epochs is refused where it is given."""
    with pytest.raises(ValueError, match="0 or more, not -1"):
        Trial.offline({}).epochs(-1)


def test_track_refuses_what_has_no_state() -> None:
    """An object without a state is refused by its name, with what to do instead."""
    trial = Trial.offline({})
    with pytest.raises(TypeError, match=r"history is a list.*trial\.state"):
        trial.track(model=torch.nn.Linear(1, 1), history=[])
    with pytest.raises(TypeError, match="model is a type"):
        trial.track(model=torch.nn.Linear)


def test_track_refuses_a_second_object_of_a_name() -> None:
    """A name stands for one object; naming the same one again changes nothing."""
    trial = Trial.offline({})
    model = torch.nn.Linear(1, 1)
    trial.track(model=model)
    trial.track(model=model)
    with pytest.raises(UsageError, match="'model' is tracked already"):
        trial.track(model=torch.nn.Linear(1, 1))


def test_log_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    """What a trial logs reaches the loggers of the caller."""
    with caplog.at_level(logging.INFO):
        Trial.offline({}).log.info("hello")
    assert caplog.messages == ["hello"]


def test_step_counts() -> None:
    """Steps are counted over all epochs."""
    trial = Trial.offline({})
    for _ in trial.epochs(2):
        for _ in range(3):
            trial.step()
    assert trial.global_step == 6


@pytest.mark.parametrize("numpy", [False, True])
def test_nothing_heavy_is_imported(numpy: bool) -> None:
    """A trial in plain Python loads neither torch nor NumPy, one with NumPy loads no torch."""
    code = f"""
import sys, tempfile
sys.path.insert(0, {str(Path(__file__).parent)!r})
def train(trial):
    if {numpy}:
        import numpy as np
        generator = np.random.default_rng(trial.seed)
        trial.track(generator=generator)
        trial.state["array"] = np.zeros(3)
    for epoch in trial.epochs(3):
        trial.state["sum"] = trial.state.get("sum", 0) + epoch
        trial.step()
        trial.report(loss=np.random.rand() if {numpy} else 1)
from pathlib import Path
from trial_harness import Recorder, Runner
runner = Runner(Path(tempfile.mkdtemp()), train)
stopped = runner.run(Recorder(stop_at=4)).ended
assert stopped.outcome == "stopped", stopped
ended = runner.run().ended
assert ended.outcome == "complete", ended
import sweep
train(sweep.Trial.offline({{}}))
import json
heavy = ["torch", "numpy", "ray", "pandas", "optuna", "pyarrow", "pydantic"]
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(output) == (["numpy"] if numpy else [])
