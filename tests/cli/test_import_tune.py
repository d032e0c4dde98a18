"""`sweep import DIRECTORY`: what Ray Tune has left is read, as plain text, and goes on."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import PROGRAMS, Project

import sweep
from sweep.journal.journal import read_state

PROGRAM = """
def train(trial):
    for _ in trial.epochs(2):
        trial.report(loss=trial.params.optimizer.lr)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment that Ray Tune has made: ASHA, failures, NaN, groups, and a pickled choice."""
    root = tmp_path_factory.mktemp("tune")
    quiet = {"RAY_AIR_NEW_OUTPUT": "0", "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1"}
    subprocess.run(
        [sys.executable, PROGRAMS / "tuned.py", root],
        env=os.environ | quiet,
        capture_output=True,
        check=True,
        timeout=120,
    )
    return root


@pytest.fixture
def tuned(made: Path, project: Project) -> Path:
    """A copy of it, ``tuned``, in the project."""
    shutil.copytree(made / "tuned", project.root / "tuned")
    return project.root / "tuned"


def known(made: Path) -> dict[str, dict[str, Any]]:
    """What Tune itself says of each trial."""
    return {each["id"]: each for each in json.loads((made / "known.json").read_text())}


def imported(project: Project, *arguments: str | Path) -> str:
    done = project.call("import", "tuned", "--goal", "minimize", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def origins_of(project: Project) -> dict[int, str]:
    """Tune's id of each trial by its number here."""
    trials = read_state(project.store / "tuned" / "journal").trials.values()
    return {trial.number: str(trial.imported).rpartition("/")[2] for trial in trials}


def edit(tuned: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Have ``change`` alter the state of each trial: its fixed part, and the other."""
    (path,) = tuned.glob("experiment_state-*.json")
    content = json.loads(path.read_text())
    for row in content["trial_data"]:
        parts = [json.loads(part) for part in row]
        change(*parts)
        row[:] = map(json.dumps, parts)
    path.write_text(json.dumps(content))


def test_trials_are_those_of_tune(project: Project, tuned: Path, made: Path) -> None:
    """Params, reports by iteration, states, values, errors and times, of each trial."""
    said = imported(project)
    assert "tuned: imported: 12 trials\n" in said
    assert "tuned: note: model: is left out: its values are pickled" in said
    study, theirs = sweep.open_study(project.store / "tuned"), known(made)
    origins = origins_of(project)
    states = set()
    for row in study.trials.to_dict("records"):
        there = theirs.pop(origins[row["number"]])
        config = there["config"]
        assert row["params.kind"] == config["kind"]
        assert row["params.optimizer.lr"] == config["optimizer"]["lr"]
        assert row["params.optimizer.layers"] == str(config["optimizer"]["layers"])
        assert row["params.momentum"] == config["momentum"]
        own = study.reports[study.reports["trial"] == row["number"]]
        losses = [None if pd.isna(loss) else loss for loss in own["metrics.loss"]]
        assert losses == there["losses"]
        assert list(own["step"]) == list(range(1, len(losses) + 1))
        assert set(own.columns) == {"trial", "attempt", "step", "time", "metrics.loss",
                                    "metrics.eval/accuracy"}  # fmt: skip
        assert row["started"] <= own["time"].min() <= own["time"].max() <= row["finished"]
        if there["failed"]:
            assert (row["state"], row["reason"]) == ("FAILED", "ValueError: a bad kind")
            assert "in train\n" in row["error"]
            assert "\x1b" not in row["error"]
        elif losses[-1] is None:
            assert (row["state"], row["reason"]) == ("FAILED", "loss is NaN")
        else:
            assert row["state"] == ("COMPLETE" if len(losses) == 4 else "PRUNED")
            assert row["value"] == losses[-1]
        states.add((row["state"], row["reason"]))
    assert not theirs
    assert len(states) == 4
    pruned = int((study.trials["state"] == "PRUNED").sum())
    assert f"{pruned} trials that ended before iteration 4 and not by itself" in said


def test_the_space_is_what_was_seen(project: Project, tuned: Path, made: Path) -> None:
    """Choices, constants, and a range on the scale that its values are spread over."""
    assert "Tune keeps its space in pickles only" in imported(project)
    spec = sweep.open_study(project.store / "tuned").spec
    found = {name: each.model_dump(mode="json") for name, each in spec.parameters.items()}
    rate = found.pop("optimizer.lr")
    layers = found.pop("optimizer.layers")
    assert found == {
        "kind": {"distribution": "categorical", "values": ["good", "bad", "late", "blind"]},
        "momentum": {"distribution": "categorical", "values": [0.3, 0.4, 0.5]},
        "flag": {"distribution": "constant", "value": True},
    }
    assert sorted(layers["values"]) == [[8], [8, 8]]
    rates = [each["config"]["optimizer"]["lr"] for each in known(made).values()]
    assert rate["distribution"] == "log_uniform_values"
    assert 0.99 * min(rates) < rate["min"] <= min(rates) < max(rates) <= rate["max"]
    assert rate["max"] < 1.02 * max(rates)


def test_the_search_goes_on(project: Project, tuned: Path) -> None:
    """The sampler knows the old trials; a replay derives all that came after."""
    (project.root / "own.py").write_text(PROGRAM)
    imported(project, "--program", "own:train")
    done = project.run("run", "--inline", "tuned.yaml", "--set", "trials=15")
    assert "tuned: goes on: 12 of 15 trials are finished" in done.stderr + done.stdout
    assert len(sweep.open_study(project.store / "tuned").trials) == 15
    replayed = project.call("replay", "tuned")
    assert replayed.returncode == 0
    assert "3 suggestions" in replayed.stdout


def test_another_space(project: Project, tuned: Path) -> None:
    """``--space`` takes the parameters of a sweep; trials beyond it are kept, and not told."""
    rate = {"distribution": "log_uniform_values", "min": 1e-5, "max": 1.0}
    layers = {"values": [[8], [8, 8], [16]]}
    wide = project.spec(
        "wide",
        parameters={
            "optimizer": {"parameters": {"lr": rate, "layers": layers}},
            "kind": {"values": ["good", "late", "blind"]},
        },
    )
    said = imported(project, "--space", wide)
    assert "pickles only" not in said
    assert "not told of 3 trials: kind: must be one of good, late, blind\n" in said
    study = sweep.open_study(project.store / "tuned")
    assert study.spec.parameters["optimizer.lr"].min == 1e-5
    assert study.spec.parameters["optimizer.layers"].values == ([8], [8, 8], [16])
    bad = study.trials[study.trials["params.kind"] == "bad"]
    assert len(bad) == 3
    assert not set(bad["number"]) & set(study.iterations["trial"])


def test_a_restored_trial(project: Project, tuned: Path) -> None:
    """Iterations that were made again count once, as made last; a torn last row not at all."""
    path = next(tuned.glob("*kind=good*/result.json"))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    again = rows[0] | {"loss": 7.0}
    lines = [*rows, again]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines) + '{"loss": 1, "tim')
    imported(project)
    study = sweep.open_study(project.store / "tuned")
    (number,) = [n for n, origin in origins_of(project).items() if origin == again["trial_id"]]
    own = study.reports[study.reports["trial"] == number]
    assert list(zip(own["step"], own["metrics.loss"], strict=True)) == [(1, 7.0)]


def test_trials_that_are_not_over(project: Project, tuned: Path, made: Path) -> None:
    """They are left out, unless their last result says that they were ended meanwhile."""

    def interrupted(fixed: dict[str, Any], _: dict[str, Any]) -> None:
        fixed["status"] = "RUNNING"

    edit(tuned, interrupted)
    said = json.loads(imported(project, "--json"))
    ended = sum(
        json.loads(path.read_text().splitlines()[-1])["done"]
        for path in tuned.glob("*/result.json")
    )
    assert 0 < said["trials"] == ended < 12
    assert said["unfinished"] == 12 - ended


def test_without_the_files_of_trials(project: Project, tuned: Path, made: Path) -> None:
    """The state of the experiment has their last results; a note says that there are no others."""
    for directory in tuned.glob("train_*"):
        shutil.rmtree(directory)
    said = imported(project)
    assert "12 trials without a result.json: only the last result is known" in said
    study = sweep.open_study(project.store / "tuned")
    assert len(study.reports) == 12
    last = {
        each["losses"][-1]
        for each in known(made).values()
        if not each["failed"] and each["losses"][-1] is not None
    }
    assert set(study.trials["value"].dropna()) == last


def test_a_state_that_makes_no_sense(project: Project, tuned: Path) -> None:
    """Whatever stands where a config, a time or a result should be: one line names the file."""
    strange: list[tuple[int, str, Any]] = [
        (0, "config", [1]),
        (0, "config", None),
        (1, "start_time", "yesterday"),
        (1, "last_result_time", 10**400),
        (1, "last_result", [1]),
        (1, "last_result", {"training_iteration": 1, "loss": 1.0, "timestamp": "now"}),
    ]
    (state,) = tuned.glob("experiment_state-*.json")
    whole = state.read_text()
    for file in tuned.glob("*/result.json"):
        file.unlink()
    for part, key, value in strange:
        state.write_text(whole)
        edit(tuned, lambda *parts: parts[part].update({key: value}))  # noqa: B023  called at once
        done = project.call("import", "tuned", "--goal", "minimize")
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{state.name}: is no state of an experiment" in done.stderr
        assert done.stderr.count("\n") == 1


def test_results_that_make_no_sense(project: Project, tuned: Path) -> None:
    """An iteration that is no number is none, and an integer beyond all floats no metric."""
    extra = {"training_iteration": True, "loss": 0.0}, {"training_iteration": 9, "huge": 10**400}
    for file in tuned.glob("*/result.json"):
        file.write_text(file.read_text() + "".join(json.dumps(row) + "\n" for row in extra))
    imported(project)
    reports = sweep.open_study(project.store / "tuned").reports
    assert "metrics.huge" not in reports
    assert set(reports["step"]) == {1, 2, 3, 4, 9}
    assert project.call("replay", "tuned").returncode == 0


def test_nothing_is_unpickled(project: Project, tuned: Path) -> None:
    """A pickle of somebody else's is a program: none is ever loaded."""
    trap = project.root / "sprung"

    class Trap:
        def __reduce__(self) -> Any:
            return (trap.touch, ())

    payload = pickle.dumps(Trap())
    for path in tuned.rglob("*.pkl"):
        path.write_bytes(payload)

    def pickled(fixed: dict[str, Any], now: dict[str, Any]) -> None:
        marked = {"_type": "CLOUDPICKLE_FALLBACK", "value": payload.hex()}
        fixed["config"]["model"] = fixed["storage"] = now["checkpoint_manager"] = marked

    edit(tuned, pickled)
    imported(project)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["tuned"], "tuned: give the --goal of loss, minimize or maximize: Tune writes it into"),
        (["tuned", "--goal", "minimise"], "there is no minimise; did you mean minimize?"),
        (["tuned", "--metric", "los"], "has reported 'los'; there is: eval/accuracy, loss"),
        (["tuned", "--study", "x", "--goal", "minimize"], "--study goes with a database"),
        (["."], "is no experiment of Ray Tune: it has no experiment_state-*.json; there is one in"),
        (["empty"], "empty: is no experiment of Ray Tune: it has no experiment_state-*.json"),
        (["torn", "--goal", "minimize"], "is no JSON, or not whole: "),
        (["older", "--goal", "minimize"], "no state of an experiment as Ray 2.7 and newer write"),
        (["unmeasured"], "unmeasured: give the --metric and its --goal; there is: eval/accuracy"),
        (["running", "--goal", "minimize"], "running: none of its 12 trials is over"),
        (["tuned/tuner.pkl"], "is no directory of Ray Tune's, nor a database of Optuna's"),
        (["tuned", "--goal", "minimize", "--space", "none.yaml"], "none.yaml"),
        (["sqlite:///x.db", "--goal", "minimize"], "--goal goes with a directory of Ray Tune's: "),
    ],
)
def test_bad_input(project: Project, tuned: Path, arguments: list[str], why: str) -> None:
    """One line says what is wrong, and what to give; nothing is made."""
    (project.root / "empty").mkdir()
    (state,) = tuned.glob("experiment_state-*.json")
    content = json.loads(state.read_text())
    running = [[part.replace("TERMINATED", "RUNNING").replace("ERROR", "PENDING")
                for part in row] for row in content["trial_data"]]  # fmt: skip
    contents = {
        "torn": state.read_text()[:1000],
        "older": json.dumps({"checkpoints": []}),
        "unmeasured": json.dumps(content | {"runner_data": {"_metric": None}}),
        "running": json.dumps(content | {"trial_data": running}),
    }
    for name, text in contents.items():
        shutil.copytree(tuned, project.root / name, ignore=shutil.ignore_patterns("result.json"))
        (project.root / name / state.name).write_text(text)
    before = sorted(project.root.rglob("*"))
    done = project.call("import", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(project.root.rglob("*")) == before
