"""The best checkpoint of a trial is the state that was measured, for whoever asks for it."""

from __future__ import annotations

import json
import logging
from itertools import pairwise
from typing import Any

import pytest
from conftest import Project

import sweep
from sweep.analysis.study import Study

BATCHES = 8
PLACES = ("end", "before", "after", "early")


def run(project: Project, place: str, target: float, **more: Any) -> Study:
    """A trial of four epochs of eight steps, whose loss is the distance of its steps from
    ``target``."""
    checkpoint = more.pop("checkpoint", {"every": {"epochs": 1, "steps": 3}})
    name = more.pop("name", "s")
    values = {"place": place, "target": target, "epochs": 4}
    content = {
        "program": "measured:train",
        "parameters": {key: {"value": value} for key, value in (values | more).items()},
        "trials": 1,
        "deterministic": True,
        "checkpoint": checkpoint,
    }
    spec = project.spec(name, **content)
    done = project.call("run", spec, "--inline")
    assert done.returncode == 0, done.stderr
    return sweep.open_study(project.store / name)


def distance(loaded: Any, target: float) -> float:
    return abs(float(loaded["model"]["weight"]) - target)


@pytest.mark.parametrize("every", [{"epochs": 1, "steps": 3}, {"steps": 5}])
@pytest.mark.parametrize("target", [8.0, 16.2])
@pytest.mark.parametrize("place", PLACES)
def test_best_is_what_was_measured(
    project: Project, place: str, target: float, every: dict[str, int]
) -> None:
    """Whatever saves in mid-epoch, the best has the loss that it is said to have, or says it has
    not."""
    study = run(project, place, target, checkpoint={"every": every})
    for row in study.checkpoints[study.checkpoints["retired"].isna()].itertuples():
        weight = float(study.load_checkpoint(row.id)["model"]["weight"])
        if row.value == row.value:
            assert abs(weight - target) == pytest.approx(row.value)
    best = study.load_checkpoint(trial=0, which="best")
    assert (best.note is None) <= ("loss" in best.measured)
    if "loss" in best.measured:
        assert distance(best, target) == pytest.approx(best.measured["loss"])
        values = study.checkpoints["value"]
        assert best.measured["loss"] == values.min()
    else:
        assert "not the state that was measured" in str(best.note)


@pytest.mark.parametrize("every", [{"epochs": 1, "steps": 3}, {"steps": 5}])
@pytest.mark.parametrize("keep", [{"last": 1, "best": 1}, {"last": 1, "best": 2}])
def test_the_best_report_has_its_checkpoint(
    project: Project, every: dict[str, int], keep: dict[str, int]
) -> None:
    """The best epoch is kept to the end, though saves in mid-epoch follow that carry its metric."""
    study = run(project, "end", 16.0, checkpoint={"every": every, "keep": keep})
    best = study.load_checkpoint(trial=0, which="best")
    assert best.measured == {"loss": 0.0}
    assert distance(best, 16.0) == 0.0
    assert best.id == "0@2.16"
    kept = study.checkpoints[study.checkpoints["retired"].isna()]
    assert len(kept[kept["value"].notna()]["value"].drop_duplicates()) >= keep["best"]


def test_all_agree(project: Project) -> None:
    """Fork, export, the tables and `iterations` name one and the same state."""
    study = run(project, "end", 16.0)
    made = project.call("fork", "s/0@best", "--json", "--force", "--set", "epochs=5")
    assert json.loads(made.stdout)["source"] == "0@2.16", made.stderr
    target = project.root / "best.safetensors"
    written = project.call("export", "s/0@best", "--to", target, "--json")
    assert json.loads(written.stdout)["checkpoint"] == "0@2.16"
    assert study.load_checkpoint(trial=0, which=1).id == "0@2.16"
    (told,) = study.iterations.itertuples()
    at_end = study.checkpoints.set_index("id").loc[told.best_checkpoint]
    assert at_end["value"] == told.best_value == 16.0


def test_on_improvement_is_the_report_that_improved(project: Project) -> None:
    """A save on improvement between saves of steps holds what was measured."""
    checkpoint = {"every": {"steps": 3}, "on": "improvement", "components": ["model"]}
    study = run(project, "end", 24.0, checkpoint=checkpoint)
    improved = study.checkpoints[study.checkpoints["kind"] == "improvement"]
    assert list(improved["value"]) == [16.0, 8.0, 0.0]
    assert study.load_checkpoint(trial=0, which="best").id == improved["id"].iloc[-1]


def test_the_nearest_is_called_so(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    """Where no checkpoint was taken at a report, the one before the best report is taken, and a
    line says what it is, in Python and on the command line."""
    checkpoint = {"every": {"steps": 3}, "keep": {"last": 1, "best": 1}, "final": "none"}
    study = run(project, "early", 12.0, checkpoint=checkpoint)
    assert study.checkpoints["value"].isna().all()
    with caplog.at_level(logging.WARNING, "sweep"):
        best = study.load_checkpoint(trial=0, which="best")
    assert best.measured == {}
    assert str(best.note) in caplog.text
    steps = int(best.id.partition(".")[2])
    assert steps <= BATCHES * (2 + 1)
    made = project.call("fork", "s/0@best", "--set", "epochs=5", "--force")
    assert "is not the state that was measured" in made.stdout


def test_saves_of_policy_only_double(project: Project) -> None:
    """For the sake of the best there is no more than one save between two of the policy."""
    study = run(project, "end", 100.0, checkpoint={"every": {"steps": 11}, "keep": {"last": 99}})
    kinds = list(study.checkpoints["kind"])
    assert "improvement" in kinds
    assert ("improvement", "improvement") not in pairwise(kinds)


def test_what_stands_beside_the_value_was_measured_with_it(project: Project) -> None:
    """Where training goes on after the last report, the tables and `sweep best` name the checkpoint
    of the report and not the newest."""
    checkpoint = {"every": {"epochs": 1, "steps": 3}, "keep": {"last": 9, "best": 1}}
    study = run(project, "end", 100.0, checkpoint=checkpoint | {"final": "none"}, each=3)
    (row,) = study.trials.itertuples()
    assert row.value == 100.0 - 4 * BATCHES
    assert row.checkpoint == "0@4.32"
    study = run(project, "end", 100.0, checkpoint=checkpoint | {"final": "none"}, each=2, name="t")
    (row,) = study.trials.itertuples()
    assert row.value == 100.0 - 3 * BATCHES
    assert row.checkpoint == "0@3.24"
    assert json.loads(project.call("best", "t", "--json").stdout)[0]["checkpoint"] == "0@3.24"
    assert "0@3.24" in project.call("best", "t").stdout
    assert list(study.iterations["best_checkpoint"]) == ["0@3.24"]
