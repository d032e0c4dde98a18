"""What was tried before in spaces of a function, with several objectives, bounds and rungs."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from past_study import Study, accept, changed, spec_of

from sweep.errors import UsageError
from sweep.journal.event import TrialFinished, TrialState
from sweep.search.history import history_of
from sweep.search.replay import replay
from sweep.spec import StudySpec

TWO: dict[str, Any] = {
    "metric": [{"name": "loss"}, {"name": "size"}],
    "constraints": ["size <= 30"],
}
NARROW = {"lr": {"min": 0.0, "max": 0.2}, "width": {"min": 1, "max": 64}}


def narrow(trial: Any) -> None:
    """A space function with a branch."""
    if trial.suggest_categorical("optimizer", ["sgd", "adam"]) == "sgd":
        trial.suggest_float("momentum", 0.0, 1.0)
    trial.suggest_int("width", 1, 32)


def wide(trial: Any) -> None:
    trial.suggest_categorical("optimizer", ["sgd", "adam", "lion"])
    trial.suggest_int("width", 1, 64)


def defined(name: str, **more: Any) -> StudySpec:
    data = spec_of("tpe").model_dump(mode="json")
    del data["parameters"]
    return StudySpec.model_validate(data | {"space": f"test_past_of_all_kinds:{name}"} | more)


def finished(study: Study, metrics: dict[str, float] | None = None) -> int:
    """Ask for a trial and finish it with both metrics; its number."""
    number = study.ask()
    width = study.state.trials[number].params["width"]
    found = metrics or {"loss": 1.0 / width, "size": float(width)}
    several = len(study.spec.objectives) > 1
    study.record(
        TrialFinished(
            trial=number,
            attempt=0,
            state=TrialState.COMPLETE,
            value=found["loss"],
            checkpoint=None,
            metrics=found,
            values=list(found.values()) if several else None,
            violations=[found["size"] - 30] if study.spec.constraints else [],
        )
    )
    study.record(study.search.tell(study.state, study.state.trials[number]))
    return number


def told(study: Study) -> list[optuna.trial.FrozenTrial]:
    study.search.prepare()
    every = study.search._storage.get_all_trials(0, deepcopy=False)
    return [each for each in every if each.state is optuna.trial.TrialState.COMPLETE]


@pytest.mark.parametrize("rebuild", [False, True])
def test_space_functions(rebuild: bool) -> None:
    """First configurations, history and a change between functions, derived again."""
    study = Study(defined("wide", enqueue=[{"width": 60, "optimizer": "lion"}, {"width": 3}]))
    other = Study(defined("narrow"))
    for _ in range(6):
        finished(other)
    space = study.search._searched()
    study.record(history_of("other", other.state, study.spec, space))
    assert len(study.state.histories[0].trials) == 6
    for _ in range(12):
        if rebuild:
            study.rebuild()
        finished(study)
    assert study.state.trials[0].params == {"optimizer": "lion", "width": 60}
    assert study.state.trials[1].params["width"] == 3
    accept(study, defined("narrow"))
    reasons = {n: trial.left_out for n, trial in study.state.trials.items()}
    assert "optimizer: must be one of sgd, adam" in str(reasons[0])
    finished(study)
    found = replay(study.entries, {})
    assert found.passed, found.deviations[:3]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"width": 33}, "s: enqueue: {width: 33}: width: must be a whole number from 1 to 32"),
        ({"depth": 1}, "s: enqueue: {depth: 1}: depth: has no meaning here, where there is: "),
    ],
)
def test_an_entry_that_a_function_does_not_know(entry: dict[str, Any], says: str) -> None:
    """It is one line, when it is its turn."""
    study = Study(defined("narrow", enqueue=[entry]))
    with pytest.raises(UsageError, match=says):
        study.ask()
    assert not list(study.search._storage.trials)


@pytest.mark.parametrize("method", ["tpe", {"name": "nsga2", "population_size": 4}], ids=str)
def test_objectives_and_bounds(method: Any) -> None:
    """Values and violations are known to the sampler for imported and for refitted trials."""
    spec = changed(spec_of(method), **TWO)
    other = Study(spec)
    for _ in range(8):
        finished(other)
    study = Study(spec)
    study.record(history_of("other", other.state, spec, spec.space))
    assert [each.values for each in told(study)] == [each.values for each in told(other)]
    assert [each.constraints for each in told(study)] == [each.constraints for each in told(other)]
    assert any(max(each.constraints.values()) > 0 for each in told(study))
    rebuilt = Study(spec)
    rebuilt.record(study.entries[2].event)
    for _ in range(6):
        finished(study)
        rebuilt.rebuild()
        finished(rebuilt)
    assert study.entries == rebuilt.entries
    accept(study, changed(spec, parameters=NARROW))
    known = {each._trial_id: each for each in told(study)}
    for number, each in known.items():
        if number >= 0:
            trial = study.state.trials[number]
            assert each.values == trial.values
            assert list(each.constraints.values()) == list(trial.violations)
    assert set(known) >= {n for n, t in study.state.trials.items() if t.left_out is None}
    found = replay(study.entries, {})
    assert found.passed, found.deviations[:3]


def test_other_objectives_cannot_be_compared() -> None:
    """Several here, one there: one line."""
    other = Study(spec_of("tpe"))
    spec = changed(spec_of("tpe"), **TWO)
    with pytest.raises(UsageError) as error:
        history_of("other", other.state, spec, spec.space)
    assert str(error.value) == (
        "s: warm_start: other: its trials minimize loss, these minimize loss and minimize size: "
        "their values cannot be compared"
    )


def test_a_bound_that_was_not_measured() -> None:
    """Trials of a study that did not report it are left out, with the reason."""
    other = Study(spec_of("tpe"))
    number = finished(other, {"loss": 1.0})
    spec = changed(spec_of("tpe"), constraints=["latency <= 3"])
    found = history_of("other", other.state, spec, spec.space)
    assert found.trials == []
    assert found.left_out == [[number, "latency <= 3: was not measured"]]
