"""Checkpoints for a loop of one's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_maker import flip

from sweep.checkpoint import Checkpointer, Keep, Policy
from sweep.errors import CheckpointDamagedError, CheckpointMismatchError, UsageError


def parts(width: int = 3) -> dict[str, Any]:
    model = torch.nn.Linear(width, 2)
    return {"model": model, "optimizer": torch.optim.Adam(model.parameters(), lr=0.1)}


def train(objects: dict[str, Any], steps: range, saver: Checkpointer | None = None) -> torch.Tensor:
    for step in steps:
        objects["optimizer"].zero_grad()
        objects["model"](torch.randn(4, 3)).square().sum().backward()
        objects["optimizer"].step()
        if saver is not None:
            saver.save(step=step, metrics={"loss": abs(step - 4)})
    return objects["model"].weight.detach().clone()


def opened(path: Path, objects: dict[str, Any], **options: Any) -> Checkpointer:
    saver = Checkpointer(path, metric="loss", **options)
    saver.track(**objects)
    return saver


def test_resumed_loop_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Two opens of a directory go on as one loop would have, generators included."""
    torch.manual_seed(1)
    whole = train(parts(), range(12))
    torch.manual_seed(1)
    objects = parts()
    with opened(tmp_path, objects) as saver:
        assert saver.restore() is None
        train(objects, range(10), saver)
    torch.manual_seed(99)
    objects = parts()
    with opened(tmp_path, objects) as saver:
        record = saver.restore()
        assert record is not None
        assert torch.equal(train(objects, range(record.global_step + 1, 12), saver), whole)


def test_which(tmp_path: Path) -> None:
    """Latest is the highest step in natural order, best that of the metric, and any step."""
    objects = parts()
    with opened(tmp_path, objects, keep=Keep(last=99)) as saver:
        assert (saver.latest(), saver.best(), saver.at(4)) == (None, None, None)
        train(objects, range(12), saver)
    with opened(tmp_path, objects) as saver:
        latest, best, at = saver.latest(), saver.best(), saver.at(9)
        assert latest is not None
        assert best is not None
        assert at is not None
        assert (latest.global_step, best.global_step, at.global_step) == (11, 4, 9)
        restored = saver.restore("best")
        assert restored == best
        with pytest.raises(UsageError, match="no checkpoint 77; there are steps 0, 1"):
            saver.restore(77)


def test_nan_is_never_the_best(tmp_path: Path) -> None:
    """A checkpoint whose metric is NaN, or lacks, is not the best, be it the first or the last."""
    with opened(tmp_path, parts(), keep=Keep(last=9)) as saver:
        saver.save(step=0, metrics={"loss": float("nan")})
        assert saver.best() is None
        for step, metrics in enumerate(({"loss": 2.0}, {"loss": 3.0}, {"loss": float("nan")}, {})):
            saver.save(step=step + 1, metrics=metrics)
        best = saver.best()
        assert best is not None
        assert best.global_step == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "number",
    [
        lambda value: torch.tensor(value, requires_grad=True),
        lambda value: torch.tensor([value]),
        np.float32,
        float,
    ],
)
def test_metrics_are_numbers_wherever_they_come_from(
    tmp_path: Path, number: Callable[[float], Any]
) -> None:
    """A loss as the training has it can be read back, so that the next open finds the best."""
    with opened(tmp_path, parts(), keep=Keep(last=1, best=1)) as saver:
        for step, loss in enumerate([2.0, 0.5, 3.0]):
            saver.save(step=step, metrics={"loss": number(loss)})
    with opened(tmp_path, parts()) as saver:
        best, latest = saver.best(), saver.restore()
        assert best is not None
        assert latest is not None
        assert (best.global_step, best.metrics, latest.global_step) == (1, {"loss": 0.5}, 2)


@pytest.mark.parametrize("value", ["low", None, torch.zeros(2)])
def test_a_metric_that_is_no_number_is_refused(tmp_path: Path, value: Any) -> None:
    """Before anything is written."""
    with opened(tmp_path, parts()) as saver, pytest.raises(TypeError, match="'loss' must be a num"):
        saver.save(step=0, metrics={"loss": value})
    with opened(tmp_path, parts()) as saver:
        assert saver.restore() is None


def test_keeps_last_and_best(tmp_path: Path) -> None:
    """By default the last and the best stay, and nothing else lies in the directory."""
    objects = parts()
    with opened(tmp_path, objects) as saver:
        train(objects, range(12), saver)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(int(path.stem[7:16]) for path in files if path.suffix == ".json") == [4, 11]
    assert len(files) == 4


def test_policy(tmp_path: Path) -> None:
    """`maybe_save` saves as often as it was told."""
    objects = parts()
    with opened(tmp_path, objects, every=Policy(steps=5)) as saver:
        assert [step for step in range(1, 13) if saver.maybe_save(step=step)] == [5, 10]


def test_damaged_latest_falls_back(tmp_path: Path) -> None:
    """A damaged latest one is kept aside and the next older one is used; a named one raises."""
    objects = parts()
    with opened(tmp_path, objects, keep=Keep(last=3)) as saver:
        train(objects, range(3), saver)
        latest = saver.latest()
        assert latest is not None
        blob = tmp_path / "blobs" / latest.manifest.removesuffix(".json") / "state.safetensors"
        flip(blob, 300)
        restored = saver.restore()
        assert restored is not None
        assert restored.global_step == 1
        assert (tmp_path / "quarantine").is_dir()
        flip(tmp_path / "blobs" / restored.manifest.removesuffix(".json") / blob.name, 300)
        with pytest.raises(CheckpointDamagedError):
            saver.restore(1)


def test_damaged_manifest_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It does not bar the way to the older ones; where there is none, that is an error."""
    objects = parts()
    with opened(tmp_path, objects, keep=Keep(last=2)) as saver:
        train(objects, range(2), saver)
    for step, left in ((1, 0), (0, None)):
        manifest = next((tmp_path / "manifests").rglob(f"*{step}-s*.json"))
        flip(manifest, 40)
        with opened(tmp_path, objects) as saver:
            assert manifest.name in caplog.text
            assert not manifest.exists()
            assert list((tmp_path / "quarantine").rglob(manifest.name))
            if left is None:
                with pytest.raises(CheckpointDamagedError):
                    saver.restore()
            else:
                restored = saver.restore()
                assert restored is not None
                assert restored.global_step == left


def test_mismatch_names_both_sides(tmp_path: Path) -> None:
    """Other objects or another shape are refused, unless what both have is enough."""
    objects = parts()
    with opened(tmp_path, objects) as saver:
        saver.save(step=1, wait=True)
    with Checkpointer(tmp_path) as saver:
        saver.track(model=objects["model"])
        with pytest.raises(CheckpointMismatchError, match=r"holds model, optimizer.* is model"):
            saver.restore()
        assert saver.restore(strict=False) is not None
    with (
        opened(tmp_path, parts(5)) as saver,
        pytest.raises(CheckpointMismatchError, match="'model'"),
    ):
        saver.restore()


def test_another_dtype_is_refused(tmp_path: Path) -> None:
    """What was saved in single precision is not loaded as double without being asked to, and
    nothing is changed by the attempt."""
    objects = parts()
    with opened(tmp_path, objects) as saver:
        saver.save(step=1, wait=True)
    model = torch.nn.Linear(3, 2).double()
    before = model.weight.detach().clone()
    wide = {"model": model, "optimizer": torch.optim.Adam(model.parameters(), lr=0.1)}
    with opened(tmp_path, wide) as saver:
        with pytest.raises(
            CheckpointMismatchError, match=r"weight .*torch\.float32.*torch\.float64"
        ):
            saver.restore()
        assert torch.equal(model.weight, before)
        assert saver.restore(strict=False) is not None
        assert torch.equal(model.weight, objects["model"].weight.double())


def test_misuse(tmp_path: Path) -> None:
    """Saving nothing, or what has no state, says what to do."""
    with Checkpointer(tmp_path) as saver:
        with pytest.raises(UsageError, match="nothing is tracked"):
            saver.save(step=1)
        with pytest.raises(TypeError, match="x is a int"):
            saver.track(x=3)  # type: ignore[arg-type]


def test_a_policy_that_would_be_ignored_is_refused(tmp_path: Path) -> None:
    """Epochs and overheads, of which a loop of one's own says nothing, are no silent "never"."""
    for policy in (Policy(epochs=1), Policy(overhead=0.1)):
        with pytest.raises(UsageError, match="steps or seconds"):
            Checkpointer(tmp_path, every=policy)


class Killed(BaseException):
    """What ends a run in between."""


def test_the_documented_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop in docs/checkpoints.md goes on after each interruption to the bits of a whole run;
    given again after its end it does nothing."""
    docs = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
    code = docs.split("## Without a study")[1].split("```python")[1].split("```")[0]
    code = code.replace("10_000", "20").replace("10_001", "21").replace("steps=500", "steps=6")
    assert "range(found.global_step + 1 if found else 1, 21)" in code

    def run(place: str, cut: int) -> tuple[torch.Tensor, int]:
        (tmp_path / place).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / place)
        torch.manual_seed(1)
        objects, calls = parts(), 0

        def train_step() -> float:
            nonlocal calls
            calls += 1
            if calls == cut:
                raise Killed
            train(objects, range(1))
            return float(calls)

        with suppress(Killed):
            exec(code, {**objects, "train_step": train_step})
        return objects["model"].weight.detach().clone(), calls

    whole, calls = run("whole", 0)
    assert calls == 20
    for cut in (3, 9, 9):
        run("cut", cut)
    end, calls = run("cut", 0)
    assert calls == 8  # from step 12
    assert torch.equal(end, whole)
    again, calls = run("cut", 0)
    assert calls == 0
    assert torch.equal(again, whole)
