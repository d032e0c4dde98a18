"""The search: an answer is a pure function of the spec and of what the journal says."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from sweep.errors import ProgramError
from sweep.journal.event import (
    DriverStarted,
    Entry,
    Event,
    StudyCreated,
    TrialAsked,
    TrialFinished,
    TrialReported,
    TrialRestored,
    TrialState,
    TrialTold,
)
from sweep.journal.fold import apply
from sweep.journal.row import decode, encode
from sweep.journal.state import StudyState
from sweep.search.replay import replay
from sweep.search.rules import CURRENT
from sweep.search.search import Search
from sweep.spec import StudySpec

PARAMETERS: dict[str, Any] = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
    "width": {"min": 1, "max": 64},
    "optimizer": {"values": ["sgd", "adam"]},
    "momentum": {"min": 0.0, "max": 1.0, "when": {"optimizer": "sgd"}},
    "decay": {"distribution": "normal", "mu": 1.0, "sigma": 2.0},
    "kind": {"values": ["a", "b", "c"], "probabilities": [0.7, 0.2, 0.1]},
    "fixed": {"value": 3},
}
FINITE: dict[str, Any] = {
    "optimizer": {"values": ["sgd", "adam"]},
    "nesterov": {"values": [True, False], "when": {"optimizer": "sgd"}},
    "width": {"min": 1, "max": 8},
}
PRUNERS: list[dict[str, Any] | None] = [
    None,
    {"type": "median", "startup_trials": 2},
    {"type": "asha", "min_resource": 1, "reduction_factor": 2, "mode": "stop"},
]


def spec_of(method: Any, pruner: dict[str, Any] | None = None, goal: str = "minimize") -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "s",
            "program": "m:f",
            "method": method,
            "metric": {"name": "loss", "goal": goal},
            "parameters": FINITE if method in ("grid", "brute") else PARAMETERS,
            "trials": 20,
            "seed": 5,
            "early_terminate": pruner,
        }
    )


class Study:
    """A study in memory: a journal as a list, its fold, and a search that follows it."""

    def __init__(self, spec: StudySpec, rules: int = CURRENT) -> None:
        self.spec, self.entries, self.state = spec, list[Entry](), StudyState()
        self.search = Search(spec)
        self.record(StudyCreated(spec=spec.model_dump(mode="json"), project=""))
        self.record(DriverStarted(session=1, host="", pid=1, versions={}, rules=rules))

    def record(self, event: Event) -> None:
        entry = Entry(seq=len(self.entries), time=float(len(self.entries)), event=event)
        entry = decode(encode(entry))  # what is used is what the disk would give back
        self.entries.append(entry)
        apply(self.state, entry)
        self.search.apply(entry.event)

    def rebuild(self) -> None:
        """Forget the search, and make it again from the journal alone."""
        self.search = Search(self.spec)
        for entry in self.entries:
            self.search.apply(entry.event)

    def ask(self) -> int:
        asked = self.search.ask(self.state)
        self.record(asked)
        return asked.trial

    def report(self, number: int, step: int, value: float) -> bool:
        prune, wrote = None, {}
        rung = self.search.promotion.rung(self.state.trials[number], step)
        if self.search.prunes:
            prune, wrote = self.search.judge(self.state.trials[number], step, value)
        self.record(
            TrialReported(
                trial=number,
                attempt=0,
                step=step,
                value=value,
                metrics={"loss": value},
                prune=prune,
                wrote=wrote,
                rung=rung,
            )
        )
        return bool(prune)

    def finish(self, number: int, state: TrialState = TrialState.COMPLETE) -> None:
        trial = self.state.trials[number]
        last = trial.reports[max(trial.reports)].value
        value = None if state is TrialState.FAILED else last
        self.record(
            TrialFinished(trial=number, attempt=0, state=state, value=value, checkpoint=None)
        )
        if state is not TrialState.FAILED:
            self.record(self.search.tell(self.state, trial))


def loss(params: dict[str, Any], step: int) -> float:
    lr = math.log10(params.get("lr", 0.01)) + 2
    return lr * lr + params["width"] / 64 + 1 / (step + 1) + (params["optimizer"] == "sgd")


def simulate(study: Study, trials: int, in_flight: int, *, rebuild: bool) -> None:
    """Run a study whose trials end out of order; some fail."""
    chooser = random.Random(9)
    running: dict[int, int] = {}
    while len(study.state.trials) < trials or running:
        while len(running) < in_flight and len(study.state.trials) < trials:
            if rebuild:
                study.rebuild()
            running[study.ask()] = 0
        number = chooser.choice(sorted(running))
        if rebuild:
            study.rebuild()
        step = running[number]
        value = loss(study.state.trials[number].params, step)
        pruned = study.report(number, step, value)
        running[number] += 1
        if pruned or running[number] == 4:
            failed = number % 7 == 6
            state = TrialState.PRUNED if pruned else TrialState.COMPLETE
            study.finish(number, TrialState.FAILED if failed else state)
            del running[number]


METHODS: list[Any] = [
    "tpe",
    {"name": "tpe", "n_startup_trials": 4, "multivariate": True, "group": True},
    {"name": "gp", "n_startup_trials": 14},
    {"name": "cmaes", "n_startup_trials": 3, "popsize": 4},
    {"name": "cmaes", "with_margin": True, "popsize": 4, "consider_pruned_trials": True},
    {"name": "nsga2", "population_size": 4, "crossover": "sbx"},
    {"name": "nsga2", "population_size": 5, "mutation_prob": 0.3, "crossover": "undx"},
    {"name": "nsga3", "population_size": 4, "dividing_parameter": 2},
    "qmc",
    {"name": "qmc", "qmc_type": "halton", "scramble": False},
    "random",
    "grid",
    "brute",
    {"name": "optuna.samplers:TPESampler", "n_startup_trials": 3, "constant_liar": False},
]


def is_gp(method: Any) -> bool:
    return isinstance(method, dict) and method["name"] == "gp"


MARKED = [
    pytest.param(method, marks=pytest.mark.long) if is_gp(method) else method for method in METHODS
]
"""Models of Gaussian processes take seconds each."""


def spelled(method: Any) -> str:
    return method if isinstance(method, str) else "-".join(map(str, method.values()))


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("method", MARKED, ids=spelled)
@pytest.mark.parametrize("pruner", PRUNERS, ids=["none", "median", "asha"])
def test_rebuilt_search_goes_on_identically(
    method: Any, pruner: dict[str, Any] | None, in_flight: int
) -> None:
    """A search rebuilt from the journal before each question answers as one that never stopped."""
    spec = spec_of(method, pruner)
    kept, rebuilt = Study(spec), Study(spec)
    simulate(kept, 18, in_flight, rebuild=False)
    simulate(rebuilt, 18, in_flight, rebuild=True)
    assert kept.entries == rebuilt.entries
    assert len(kept.state.trials) == 18
    if pruner is not None:
        assert kept.state.counts[TrialState.PRUNED] > 0


@pytest.mark.parametrize("method", MARKED, ids=spelled)
def test_replay_passes(method: Any) -> None:
    """All suggestions, verdicts and incumbents of a study follow from its journal."""
    study = Study(spec_of(method, PRUNERS[1]))
    simulate(study, 18, 3, rebuild=False)
    found = replay(study.entries, {})
    assert found.passed, found.deviations[:3]
    assert found.suggestions == 18
    assert found.verdicts > 18
    assert found.tellings > 10


def tampered(entries: list[Entry], position: int, **values: Any) -> list[Entry]:
    changed = replace(entries[position].event, **values)
    return [
        replace(entry, event=changed) if index == position else entry
        for index, entry in enumerate(entries)
    ]


def position_of(entries: list[Entry], kind: type[Event], skip: int = 0) -> int:
    found = [index for index, entry in enumerate(entries) if isinstance(entry.event, kind)]
    return found[skip]


@pytest.mark.parametrize(
    ("kind", "values", "what"),
    [
        (TrialAsked, {"params": {"lr": 0.5}}, "params.lr"),
        (TrialAsked, {"seed": 1}, "seed"),
        (TrialAsked, {"told": 99}, "told"),
        (TrialReported, {"value": 0.123}, "value at step"),
        (TrialReported, {"prune": None}, "verdict at step"),
        (TrialFinished, {"value": 0.123}, "value"),
        (TrialFinished, {"state": TrialState.COMPLETE}, "state"),
        (TrialTold, {"best_value": -1.0}, "best_value"),
        (TrialTold, {"best_trial": 3}, "best_trial"),
    ],
)
def test_changed_value_makes_replay_fail(
    kind: type[Event], values: dict[str, Any], what: str
) -> None:
    """A changed value in the journal is found, with the event's number and the trial's."""
    study = Study(spec_of("tpe", PRUNERS[1]))
    simulate(study, 16, 1, rebuild=False)
    position = position_of(study.entries, kind, skip=4)
    found = replay(tampered(study.entries, position, **values), {})
    assert not found.passed
    first = found.deviations[0]
    assert first.seq >= position
    assert f"event {first.seq}" in str(first)
    assert what in str(first)


def test_changed_history_changes_the_suggestions() -> None:
    """A told value that was changed consistently still shows in what TPE would have proposed."""
    study = Study(spec_of("tpe"))
    simulate(study, 18, 1, rebuild=False)
    entries = study.entries
    trial = 3
    for index, entry in enumerate(entries):
        event = entry.event
        if getattr(event, "trial", None) != trial:
            continue
        if isinstance(event, TrialReported):
            entries = tampered(entries, index, value=-50.0, metrics={"loss": -50.0})
        elif isinstance(event, TrialFinished):
            entries = tampered(entries, index, value=-50.0)
    found = replay(entries, {})
    assert any(deviation.what.startswith("params.") for deviation in found.deviations)


def test_versions_that_differ_are_named() -> None:
    """Replay under another Optuna says so."""
    study = Study(spec_of("tpe"))
    study.record(DriverStarted(session=1, host="h", pid=1, versions={"optuna": "4.0.0"}))
    assert replay(study.entries, {"optuna": "5.0.0"}).drift == {"optuna": ("4.0.0", "5.0.0")}


def test_verdict_of_the_journal_is_given_again() -> None:
    """A step that was judged is never judged anew, whatever the history has become."""
    study = Study(spec_of("random", PRUNERS[1]))
    for value in (0.1, 0.2, 0.3):
        number = study.ask()
        study.report(number, 0, value)
        study.finish(number)
    late = study.ask()
    assert study.report(late, 0, 5.0)
    study.record(TrialRestored(trial=late, attempt=1, step=None, checkpoint=None, skipped=[]))
    assert study.search.judge(study.state.trials[late], 0, -5.0) == (True, {})


def test_rolled_back_reports_are_forgotten() -> None:
    """After a restore, the sampler and the pruner see only the reports that still stand."""
    study = Study(spec_of("tpe", PRUNERS[1]))
    number = study.ask()
    for step in range(4):
        study.report(number, step, float(step))
    study.record(TrialRestored(trial=number, attempt=1, step=1, checkpoint=None, skipped=[]))
    assert sorted(study.state.trials[number].reports) == [0, 1]
    study.rebuild()
    assert study.report(number, 2, 7.0) in (True, False)
    assert study.state.trials[number].reports[2].value == 7.0


def test_grid_enumerates_each_configuration_once() -> None:
    """A grid proposes every valid configuration exactly once."""
    spec = spec_of("grid").model_copy(update={"trials": None})
    study = Study(spec)
    size = spec.space.grid_size
    assert size is not None
    for _ in range(size):
        number = study.ask()
        study.report(number, 0, 1.0)
        study.finish(number)
    seen = [tuple(sorted(trial.params.items())) for trial in study.state.trials.values()]
    assert len(set(seen)) == size == 8 * 3


def test_incumbent_is_the_first_of_equals_and_never_pruned() -> None:
    """Only completed trials are incumbents, and an equal one does not replace an older one."""
    study = Study(spec_of("random", goal="maximize"))
    for value, state in [
        (1.0, TrialState.COMPLETE),
        (1.0, TrialState.COMPLETE),
        (9.0, TrialState.PRUNED),
        (2.0, TrialState.COMPLETE),
    ]:
        number = study.ask()
        study.report(number, 0, value)
        study.finish(number, state)
    assert [iteration.best_trial for iteration in study.state.iterations] == [0, 0, 0, 3]


def test_ask_leaves_no_trace() -> None:
    """A question whose answer is not recorded (a kill in between) changes nothing."""
    study = Study(spec_of("qmc"))
    study.ask()
    first = study.search.ask(study.state)
    assert study.search.ask(study.state) == first


def own_study(method: str) -> Study:
    parameters = {"width": {"min": 0.0, "max": 1.0}}
    described = spec_of("random").model_dump(mode="json") | {"method": method}
    return Study(StudySpec.model_validate(described | {"parameters": parameters}))


def test_notes_of_a_sampler_of_the_users_are_in_the_journal() -> None:
    """Its attributes are as they will be read again, and a rebuilt study has them all."""
    kept, rebuilt = own_study("noting_sampler:Noting"), own_study("noting_sampler:Noting")
    for study in (kept, rebuilt):
        for _ in range(6):
            if study is rebuilt:
                study.rebuild()
            number = study.ask()
            study.report(number, 0, float(number))
            study.finish(number)
    assert kept.entries == rebuilt.entries
    assert len({str(trial.params) for trial in kept.state.trials.values()}) == 6
    asked = kept.search.ask(kept.state)
    assert asked.wrote == {"trial_user": {"place": [6, 1]}, "study_user": {"asked": 7}}
    assert asked == kept.search.ask(kept.state)
    assert replay(kept.entries, {}).passed


def test_a_sampler_that_fails_is_an_error_of_its_study() -> None:
    """One line, and no trace of the ask."""
    study = own_study("noting_sampler:Failing")
    for _ in range(2):
        study.ask()
    for _ in range(2):
        says = r"method 'noting_sampler:Failing': raised RuntimeError: no idea"
        with pytest.raises(ProgramError, match=says):
            study.search.ask(study.state)
    assert len(study.state.trials) == 2
