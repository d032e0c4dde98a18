"""`sweep import`: what Optuna has found is read here, and the search goes on with it."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from conftest import Project
from optuna.trial import TrialState

import sweep
from sweep.journal.event import TrialAsked, TrialFinished, TrialTold
from sweep.journal.journal import read_entries
from sweep.search.replay import replay

PROGRAM = """
import sweep

def train(trial):
    with open("known.log", "a") as file:
        print(trial.number, sorted(trial.params), file=file)
    return {"value": trial.params.x, "latency": 5.0}
"""


def objective(trial: optuna.Trial) -> float:
    """Conditions on a choice and on a number, steps, prunings, a failure, and a constraint."""
    x = trial.suggest_float("x", 0, 1)
    trial.suggest_float("learning rate", 1e-4, 1, log=True)
    kind = trial.suggest_categorical("kind", ["adam", "sgd", None, True])
    count = trial.suggest_int("count", 1, 4)
    trial.suggest_float("share", 0.1, 0.9, step=0.1)
    trial.suggest_int("batch", 8, 64, step=8)
    if kind == "sgd":
        trial.suggest_float("momentum", 0, 0.9)
    for layer in range(count):
        trial.suggest_int(f"units_{layer}", 4, 64, log=True)
    for step in range(3):
        trial.report(x + 1 / (step + 1), step)
        if trial.number in (4, 9) and step == 1:
            raise optuna.TrialPruned
    if trial.number == 5:
        raise ArithmeticError
    trial.set_user_attr("accuracy", 1 - x)
    trial.set_user_attr("note", "a text")
    trial.set_constraint("latency <= 9", x * 10 - 9)
    return x


Create = Callable[..., optuna.Study]


@pytest.fixture
def create(project: Project) -> Create:
    """Makes a study in ``optuna.db``, in which ``trials`` were run."""
    url = f"sqlite:///{project.root / 'optuna.db'}"

    def make(
        name: str = "theirs", function: Callable[..., object] = objective, trials: int = 30
    ) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        study = optuna.create_study(
            study_name=name, storage=url, sampler=optuna.samplers.RandomSampler(seed=3)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study.optimize(function, n_trials=trials, catch=(ArithmeticError,))  # type: ignore[arg-type]
        return study

    return make


def imported(project: Project, *arguments: str | Path) -> str:
    done = project.call("import", "sqlite:///optuna.db", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_trials_are_those_of_optuna(project: Project, create: Create) -> None:
    """States, params, values, reports, metrics and times, in the tables of the new study."""
    known = create().trials
    said = imported(project)
    assert "theirs: imported: 30 trials\n" in said
    assert "theirs: note: 'learning rate' is called learning_rate here\n" in said
    study = sweep.open_study(project.store / "theirs")
    assert len(study.reports) == sum(len(trial.intermediate_values) for trial in known)
    for trial, row in zip(known, study.trials.to_dict("records"), strict=True):
        assert str(row["state"]).removesuffix("ED") == trial.state.name.removesuffix("ED")
        for name, value in trial.params.items():
            column = row[f"params.{name.replace(' ', '_')}"]
            if name == "kind":  # of several types: a column of texts
                assert pd.isna(column) if value is None else column == str(value)
            else:
                assert column == pytest.approx(value)
        for name in {"momentum", "units_1", "units_2", "units_3"} - set(trial.params):
            assert pd.isna(row[f"params.{name}"])
        own = study.reports[study.reports["trial"] == trial.number]
        steps = dict(zip(own["step"], own["metrics.value"], strict=True))
        assert steps == trial.intermediate_values
        assert (row["attempts"], row["steps"]) == (1, len(steps))
        assert trial.datetime_start is not None
        assert row["started"].timestamp() >= trial.datetime_start.timestamp()
        assert local(row["finished"]) == trial.datetime_complete
        if trial.state is TrialState.COMPLETE:
            assert row["value"] == trial.value
            assert row["metrics.accuracy"] == 1 - trial.params["x"]
            assert row["metrics.latency"] == pytest.approx(trial.params["x"] * 10)
            assert row["feasible"] == (trial.params["x"] <= 0.9)
    assert study.best is not None
    complete = [trial for trial in known if trial.state is TrialState.COMPLETE]
    assert study.best["value"] == min(trial.value or 0.0 for trial in complete)
    assert len(study.iterations) == 29


def local(time: pd.Timestamp) -> datetime:
    """A time of the tables as Optuna has it."""
    return datetime.fromtimestamp(time.timestamp())


def test_the_space_is_found(project: Project, create: Create) -> None:
    """Ranges, steps and choices; conditions on the choice and on the number that explain them."""
    create()
    imported(project)
    spec = sweep.open_study(project.store / "theirs").spec
    found = {name: each.model_dump(mode="json") for name, each in spec.parameters.items()}
    units = {"distribution": "int_log_uniform_values", "min": 4, "max": 64}
    assert found == {
        "x": {"distribution": "uniform", "min": 0.0, "max": 1.0},
        "learning_rate": {"distribution": "log_uniform_values", "min": 0.0001, "max": 1.0},
        "kind": {"distribution": "categorical", "values": ["adam", "sgd", None, True]},
        "count": {"distribution": "int_uniform", "min": 1, "max": 4},
        "share": {"distribution": "q_uniform", "min": 0.1, "max": 0.9, "q": 0.1},
        "batch": {"distribution": "int_uniform", "min": 8, "max": 64, "step": 8},
        "momentum": {"distribution": "uniform", "min": 0.0, "max": 0.9, "when": {"kind": "sgd"}},
        "units_0": units,
        "units_1": units | {"when": {"count": [2, 3, 4]}},
        "units_2": units | {"when": {"count": [3, 4]}},
        "units_3": units | {"when": {"count": 4}},
    }
    assert spec.constraints == ("latency <= 9",)


def test_the_search_goes_on(project: Project, create: Create) -> None:
    """The YAML is the study's: more trials follow, which the sampler asks with what it was told."""
    create()
    (project.root / "own.py").write_text(PROGRAM)
    said = imported(project, "--program", "own:train", "--name", "mine")
    assert "mine: go on with: sweep run mine.yaml --set trials=60\n" in said
    done = project.run("run", "--inline", "mine.yaml", "--set", "trials=33")
    assert done.returncode in (0, 1), done.stderr
    log = (project.root / "known.log").read_text().splitlines()
    assert [line.split()[0] for line in log] == ["30", "31", "32"]
    study = sweep.open_study(project.store / "mine")
    assert len(study.trials) == 33
    asked = [entry.event for entry in read_entries(study.paths.journal)]
    told = [each.told for each in asked if isinstance(each, TrialAsked) and not each.imported]
    assert told == [29, 30, 31]


def test_a_replay_says_what_was_imported(project: Project, create: Create) -> None:
    """It derives latents, results and what was asked since, and claims no imported suggestion."""
    create()
    (project.root / "own.py").write_text(PROGRAM)
    imported(project, "--program", "own:train")
    assert project.run("run", "--inline", "theirs.yaml", "--set", "trials=32").returncode in (0, 1)
    done = project.call("replay", "theirs")
    assert done.returncode == 0, done.stderr
    assert "theirs: note: 30 trials of another program" in done.stdout
    assert "2 suggestions, 0 verdicts and 31 results follow" in done.stdout
    record = json.loads(project.call("replay", "theirs", "--json").stdout)
    assert (record["suggestions"], record["imported"], record["passed"]) == (2, 30, True)


def test_a_replay_finds_what_does_not_follow(project: Project, create: Create) -> None:
    """Another place in the space, or another incumbent, deviates in an imported trial, too."""
    create()
    imported(project)
    entries = list(read_entries(project.store / "theirs" / "journal"))
    assert replay(entries, {}).passed

    def deviating(index: int, **changes: Any) -> list[str]:
        event = replace(entries[index].event, **changes)
        changed = [*entries[:index], replace(entries[index], event=event), *entries[index + 1 :]]
        return [deviation.what for deviation in replay(changed, {}).deviations]

    places = {type(entry.event): index for index, entry in enumerate(entries)}
    asked = entries[places[TrialAsked]].event
    assert isinstance(asked, TrialAsked)
    value, *range_ = asked.latents["x"]
    moved = asked.latents | {"x": [value / 2, *range_]}
    assert deviating(places[TrialAsked], latents=moved) == ["latents.x"]
    assert deviating(places[TrialTold], best_value=-1.0) == ["best_value"]
    finished = max(
        index
        for index, entry in enumerate(entries)
        if isinstance(entry.event, TrialFinished) and entry.event.state == "COMPLETE"
    )
    assert "value" in deviating(finished, value=0.123)


def test_what_no_condition_explains(project: Project, create: Create) -> None:
    """Trials without a parameter that others have are kept, and the sampler is not told of them."""

    def odd(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        if trial.number in (2, 5):
            return -1.0
        return x + trial.suggest_float("y", 0, 1)

    create(function=odd, trials=8)
    said = imported(project)
    assert "note: the sampler is not told of 2 trials: y: is not there, and no condition" in said
    study = sweep.open_study(project.store / "theirs")
    assert set(study.iterations["trial"]) == {0, 1, 3, 4, 6, 7}
    assert list(study.trials["value"].iloc[[2, 5]]) == [-1.0, -1.0]
    assert study.best is not None
    assert study.best["value"] >= 0
    assert project.call("replay", "theirs").returncode == 0


def test_several_objectives(project: Project) -> None:
    """Directions, names and the Pareto front are Optuna's."""
    url = f"sqlite:///{project.root / 'optuna.db'}"
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    theirs = optuna.create_study(
        study_name="two",
        storage=url,
        directions=["minimize", "maximize"],
        sampler=optuna.samplers.RandomSampler(seed=1),
    )
    theirs.optimize(
        lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)), n_trials=15
    )
    imported(project)
    study = sweep.open_study(project.store / "two")
    goals = [(each.name, str(each.goal)) for each in study.spec.objectives]
    assert goals == [("value_0", "minimize"), ("value_1", "maximize")]
    best = {trial.number for trial in theirs.best_trials}
    assert set(study.pareto["number"]) == best
    assert project.call("replay", "two").returncode == 0


def test_objectives_are_given_names(project: Project, create: Create) -> None:
    """Those that a program reports; without them it is said what it must report."""
    create(trials=4)
    said = imported(project, "--metric", "loss", "--name", "named")
    assert "has no name there" not in said
    study = sweep.open_study(project.store / "named")
    assert [each.name for each in study.spec.objectives] == ["loss"]
    assert study.reports["metrics.loss"].notna().all()
    assert study.trials["metrics.loss"].equals(study.trials["value"])
    unnamed = imported(project)
    assert "theirs: note: what is optimised has no name there and is value here: " in unnamed
    assert "import with --metric NAME\n" in unnamed
    url = "sqlite:///optuna.db"
    both = refused(project, url, "--metric", "loss,size", "--name", "third")
    assert "theirs: has 1 objective; name as many metrics" in both
    goal = refused(project, url, "--goal", "maximize")
    assert f"--goal goes with a directory of Ray Tune's: {url} says it itself" in goal


def test_there_and_back(complete: Project) -> None:
    """What was exported is imported with the same params, values, metrics and times."""
    assert complete.call("export", "s", "--to", "sqlite:///optuna.db").returncode == 0
    imported(complete, "--name", "again")
    before = sweep.open_study(complete.store / "s").trials
    after = sweep.open_study(complete.store / "again").trials
    same = ["number", "value", "params.lr", "params.width", "params.epochs", "metrics.loss",
            "finished", "steps"]  # fmt: skip
    pd.testing.assert_frame_equal(before[same], after[same])


def test_running_trials_are_left_out(project: Project, create: Create) -> None:
    """Nobody here could go on with them."""
    create(trials=4).ask()
    said = json.loads(imported(project, "--json"))
    assert (said["trials"], said["unfinished"], said["study"]) == (4, 1, "theirs")
    assert len(sweep.open_study(project.store / "theirs").trials) == 4


def refused(project: Project, *arguments: str) -> str:
    """The one line that says why; nothing was made."""
    before = sorted(project.root.iterdir())
    done = project.call("import", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert sorted(project.root.iterdir()) == before
    return done.stderr


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://host/optuna", "must be an SQLite file, such as sqlite:///optuna.db"),
        ("optuna.db", "nor a database of Optuna's, such as sqlite:///optuna.db"),
        ("sqlite:///nowhere.db", "nowhere.db: no such file"),
        ("sqlite:///odd.py", "odd.py: is no SQLite database"),
        ("sqlite:///other.db", "other.db: is no database of Optuna's"),
    ],
)
def test_what_is_no_database_of_optunas(project: Project, url: str, why: str) -> None:
    """One line names the file, and nothing is written to it."""
    with closing(sqlite3.connect(project.root / "other.db")) as connection:
        connection.execute("CREATE TABLE bills (amount REAL)")
    before = (project.root / "other.db").read_bytes()
    assert why in refused(project, url)
    assert (project.root / "other.db").read_bytes() == before


def test_which_study_is_meant(project: Project, create: Create) -> None:
    """Of several one must be named; one that is not there, or empty, or has a name in use."""
    create(trials=2)
    create("my other", trials=2)
    create("empty", trials=0)
    url = "sqlite:///optuna.db"
    assert "has several studies: give --study; there is: " in refused(project, url)
    assert "has no study 'thiers'; there is: " in refused(project, url, "--study", "thiers")
    assert "empty: none of its 0 trials is over" in refused(project, url, "--study", "empty")
    assert "; give it a --name" in refused(project, url, "--study", "my other")
    imported(project, "--study", "my other", "--name", "other")
    imported(project, "--study", "theirs")
    there = refused(project, url, "--study", "theirs")
    assert "theirs: is there already; give the study another --name" in there
    (project.root / "mine.yaml").write_text("mine")
    mine = refused(project, url, "--study", "theirs", "--name", "mine")
    assert "mine.yaml: is there already" in mine
    assert (project.root / "mine.yaml").read_text() == "mine"


def test_a_database_without_a_study(project: Project, create: Create) -> None:
    """It says so."""
    create(trials=1)
    optuna.delete_study(study_name="theirs", storage=f"sqlite:///{project.root / 'optuna.db'}")
    assert "optuna.db: has no study" in refused(project, "sqlite:///optuna.db")
