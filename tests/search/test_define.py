"""Define-by-run spaces: what a function suggests is asked, journaled, derived again and forked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_fork_search import fork, run_one, save
from test_search import Study, simulate, spelled

from sweep.errors import ProgramError, UsageError
from sweep.journal.event import Entry, StudyCreated
from sweep.search.define import DefinedSpace, space_of
from sweep.search.fork import vary
from sweep.search.replay import replay
from sweep.search.search import Search
from sweep.spec import Dimension, StudySpec

SPACES = """
import math

def net(trial):
    trial.suggest_float("lr", 1e-4, 1.0, log=True)
    trial.suggest_int("width", 8, 64, step=8)
    optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam", None])
    if optimizer == "sgd":
        trial.suggest_float("momentum", 0.0, 0.9, step=0.3)
    layers = trial.suggest_int("layers", 1, 3, log=True)
    for layer in range(layers):
        trial.suggest_int(f"units.{layer}", 4, 4 * 2 ** layer + 4)
    assert list(trial.params)[:2] == ["lr", "width"]
    return {"classes": 10, "lr": trial.params["lr"]}

def changing(trial):
    trial.suggest_float("lr", 0.1, 1.0)
    width = trial.suggest_int("width", 1, 64)
    trial.suggest_categorical("optimizer", ["sgd", "adam"])
    trial.suggest_float("share", 0.0, width / 10)

def kinds(trial):
    many = trial.suggest_int("width", 1, 40)
    trial.suggest_categorical("optimizer", list(range(many)))

def raises(trial):
    trial.suggest_float("lr", 0.1, 1.0)
    return 1 / 0

def bare(trial):
    raise KeyError

def two(trial, other):
    pass

def nothing(trial):
    return 3

def returns(trial):
    trial.suggest_float("lr", 0.1, 1.0)
    return {"lr": 7}

NUMBER = 3
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "spaces.py").write_text(SPACES)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("spaces", None)


def spec_of(function: str, method: Any = "random") -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "s",
            "program": "m:f",
            "method": method,
            "metric": {"name": "loss"},
            "space": f"spaces:{function}",
            "trials": 20,
            "seed": 5,
        }
    )


METHODS: list[Any] = [
    "random",
    {"name": "tpe", "n_startup_trials": 4},
    {"name": "tpe", "n_startup_trials": 4, "multivariate": True, "group": True},
    {"name": "cmaes", "n_startup_trials": 2, "popsize": 4},
    {"name": "nsga2", "population_size": 4},
    {"name": "nsga3", "population_size": 4},
    "qmc",
    pytest.param({"name": "gp", "n_startup_trials": 10}, marks=pytest.mark.long),
]


@pytest.mark.parametrize(("function", "in_flight"), [("net", 4), ("changing", 1)])
@pytest.mark.parametrize("method", METHODS, ids=spelled)
def test_a_rebuilt_search_goes_on_identically(method: Any, function: str, in_flight: int) -> None:
    """Rebuilt from the journal before each question it answers alike, and a replay derives it."""
    spec = spec_of(function, method)
    kept, rebuilt = Study(spec), Study(spec)
    simulate(kept, 11, in_flight, rebuild=False)
    simulate(rebuilt, 11, in_flight, rebuild=True)
    assert kept.entries == rebuilt.entries
    found = replay(kept.entries, {})
    assert found.passed, found.deviations[:3]
    assert found.suggestions == 11


def test_parameters_are_what_was_suggested_in_that_order() -> None:
    study = Study(spec_of("net"))
    for _ in range(20):
        params = study.state.trials[study.ask()].params
        units = [f"units.{layer}" for layer in range(params["layers"])]
        momentum = ["momentum"] if params["optimizer"] == "sgd" else []
        assert list(params) == [
            "lr",
            "width",
            "optimizer",
            *momentum,
            "layers",
            *units,
            "classes",
        ]
        assert params["classes"] == 10
        assert params["width"] % 8 == 0
        assert params.get("momentum", 0.3) in (0.0, 0.3, 0.6, 0.9)


@pytest.mark.parametrize("written", ["grid", "brute"])
def test_methods_with_an_end_refuse_it(written: str) -> None:
    with pytest.raises(ValueError, match=f"has no end that method {written} could come to"):
        spec_of("net", written)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("ned", r"^space 'spaces:ned': .* has no 'ned'; did you mean net\?$"),
        ("NUMBER", r"^space 'spaces:NUMBER': is int, not a function that takes a trial$"),
        ("two", r"^space 'spaces:two': its parameters are \(trial, other\); it must take one"),
    ],
)
def test_a_function_that_cannot_be_had(function: str, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        space_of(spec_of(function), "")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("raises", r"raised ZeroDivisionError: division by zero \(.*spaces.py:28\)$"),
        ("bare", r"raised KeyError \(.*spaces.py:31\)$"),
        ("nothing", r"returned int, not a mapping of constants or None$"),
        ("returns", r"lr: is suggested to be 0\.\d+, and returned as a constant$"),
    ],
)
def test_a_function_that_fails_in_one_line(function: str, message: str) -> None:
    """Nothing is proposed, and nothing is left behind in the history."""
    study = Study(spec_of(function))
    with pytest.raises(ProgramError, match=f"^space 'spaces:{function}': {message}"):
        study.ask()
    assert not list(study.search._storage.trials)


def test_a_parameter_keeps_its_kind() -> None:
    """Samplers compare the values of a parameter over trials: other choices are another name."""
    study = Study(spec_of("kinds"))
    study.ask()
    says = "optimizer: was another kind of parameter, or had another number of choices"
    with pytest.raises(ProgramError, match=says):
        study.ask()


def lowest(dimension: Dimension) -> Any:
    latent = dimension.domain.latent
    return dimension.domain.value(getattr(latent, "low", 0))


def completed(function: Callable[[Any], Any]) -> dict[str, Any]:
    sys.modules["spaces"] = type(sys)("spaces")
    sys.modules["spaces"].function = function  # type: ignore[attr-defined]
    return DefinedSpace("spaces:function", "").complete(lowest)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda t: t.suggest_float("x", 2, 1), "x: low 2.0 is above high 1.0"),
        (lambda t: t.suggest_float("x", 0, 1, log=True), "x: low must be above 0 for log"),
        (lambda t: t.suggest_float("x", 0, float("inf")), "x: high must be a finite number"),
        (lambda t: t.suggest_float("x", "0", 1), "x: low must be a finite number, not '0'"),
        (lambda t: t.suggest_float("x", 0, 1, step=0), "x: step must be above 0"),
        (
            lambda t: t.suggest_float("x", 1, 2, step=0.5, log=True),
            "x: step and log cannot stand together",
        ),
        (lambda t: t.suggest_int("x", 0.5, 2), "x: low must be a whole number, not 0.5"),
        (lambda t: t.suggest_int("x", 0, 2**54), "x: high is beyond 2"),
        (lambda t: t.suggest_int("x", 1, 9, step=2, log=True), "x: step and log cannot"),
        (lambda t: t.suggest_categorical("x", []), "x: choices must be a list of one or more"),
        (lambda t: t.suggest_categorical("x", "abc"), "x: choices must be a list"),
        (lambda t: t.suggest_categorical("x", [1, 1.0]), "x: a choice stands there twice"),
        (lambda t: t.suggest_categorical("x", [object()]), "x: choices must be plain data"),
        (lambda t: t.suggest_int("2 x", 1, 2), "2 x: a parameter's name begins with a letter"),
        (
            lambda t: t.suggest_int("x", 1, 2) + t.suggest_int("x", 1, 3),
            "x: is suggested twice, with different ranges",
        ),
        (lambda t: {"x": object()}, "x: must be plain data, not object"),
        (lambda t: {3: 1}, "3: a name must be text"),
        (lambda t: t.suggest_loguniform("x", 1, 2), "raised AttributeError: "),
    ],
)
def test_what_makes_no_sense(function: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ProgramError) as error:
        completed(function)
    assert str(error.value).startswith(f"space 'spaces:function': {message}")
    assert "\n" not in str(error.value)


def test_suggested_again_it_is_the_same() -> None:
    def function(trial: Any) -> None:
        assert trial.suggest_int("x", 3, 9) == trial.suggest_int("x", 3, 9) == 3

    assert completed(function) == {"x": 3}


@pytest.mark.parametrize("method", METHODS[:2], ids=spelled)
def test_forks_are_told_and_derived_again(method: Any) -> None:
    """A fork's parameters run through the function; what it does not ask for is left out."""
    study = Study(spec_of("net", method))
    study.spec.__dict__["space"] = space_of(study.spec, "")
    for _ in range(6):
        number = study.ask()
        save(study, number)
        run_one(study, number)
    added = fork(study, 0, layers=1, optimizer="adam")
    params = study.state.trials[added].params
    assert (params["layers"], params["optimizer"]) == (1, "adam")
    assert not {"momentum", "units.1", "units.2"} & set(params)
    run_one(study, added)
    study.ask()
    found = replay(study.entries, {})
    assert found.passed, found.deviations
    assert found.forks == 1


BASE = {"lr": 0.1, "width": 8, "optimizer": "adam", "layers": 1, "units.0": 5, "classes": 10}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lr": 3.0}, "lr: must be from 0.0001 to 1.0, not 3.0"),
        ({"width": 12}, "width: must be a whole number from 8 to 64 by steps of 8, not 12"),
        ({"optimizer": "lion"}, "optimizer: must be one of sgd, adam, none"),
        ({"layers": 2}, "units.1: is needed with these changes"),
        ({"optimizer": "sgd", "momentum": 0.5}, "momentum: must be from 0.0 to 0.9 by steps of"),
        ({"momentum": 0.3}, "momentum: has no meaning here: with these values the space function"),
        ({"widht": 16}, "widht: has no meaning here: .*; did you mean width?"),
        ({"classes": 11}, "classes: is fixed at 10, not 11"),
    ],
)
def test_changes_that_the_function_does_not_allow(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        vary(space_of(spec_of("net"), ""), BASE, changes)


def test_a_fork_outside_of_the_range_by_force() -> None:
    varied = vary(space_of(spec_of("net"), ""), BASE, {"lr": 3.0}, force=True)
    assert (varied.params["lr"], varied.inside) == (3.0, False)


def test_replay_finds_a_function_that_answers_otherwise(tmp_path: Path) -> None:
    """One that was changed since is a deviation, and so is one that raises now."""
    study = Study(spec_of("net"))
    simulate(study, 5, 1, rebuild=False)
    for old, new in (("1e-4", "1e-3"), ('"layers", 1, 3', '"layers", 3, 1')):
        sys.modules.pop("spaces")
        (tmp_path / "spaces.py").write_text(SPACES.replace(old, new) + f"# {new}\n")
        assert not replay(study.entries, {}).passed


def test_the_history_of_another_search_is_not_needed() -> None:
    """A spec with a space survives the journal, and begins a search from there."""
    study = Study(spec_of("net"))
    created = study.entries[0]
    assert isinstance(created, Entry)
    assert isinstance(created.event, StudyCreated)
    spec = StudySpec.model_validate(created.event.spec)
    assert spec == study.spec
    assert Search(spec).ask(study.state) == study.search.ask(study.state)


@pytest.mark.parametrize("function", ["net", "changing"])
def test_cmaes_begins_anew_where_parameters_become_fewer(function: str) -> None:
    """What all trials have had may shrink with any trial; solutions of before are no use then."""
    method = {"name": "cmaes", "with_margin": True, "popsize": 4}
    study = Study(spec_of(function, method).model_copy(update={"seed": 1}))
    simulate(study, 25, 2, rebuild=False)
    written = {key for trial in study.search._storage.trials for key in trial.system_attrs}
    assert len({key for key in written if key.endswith(":generation")}) > 1
