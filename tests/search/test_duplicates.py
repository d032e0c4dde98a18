"""Parameters that were tried before: executed again, taken over, or asked for anew."""

from __future__ import annotations

from typing import Any

import pytest
from past_study import Study, accept, changed, spec_of, tried
from test_fork_search import fork, save

from sweep.journal.event import TrialFinished, TrialState
from sweep.search import proposal as module
from sweep.search.replay import replay
from sweep.spec.value import identity

SMALL = {"width": {"min": 1, "max": 3}, "optimizer": {"values": ["sgd", "adam"]}}


def study_of(duplicates: str, method: Any = "random", **more: Any) -> Study:
    return Study(
        changed(spec_of(method), **{"parameters": SMALL, "duplicates": duplicates, **more})
    )


def take_over(study: Study, number: int) -> None:
    """What the driver does about a trial that reuses another's result."""
    older = study.state.trials[study.state.trials[number].reuses or 0]
    study.record(
        TrialFinished(
            trial=number,
            attempt=0,
            state=TrialState.COMPLETE,
            value=older.value,
            checkpoint=None,
            metrics={"loss": older.value or 0.0},
        )
    )
    study.record(study.search.tell(study.state, study.state.trials[number]))


def distinct(study: Study) -> int:
    return len({identity(trial.params) for trial in study.state.trials.values()})


@pytest.mark.parametrize("method", ["random", "tpe"])
@pytest.mark.parametrize("rebuild", [False, True])
def test_a_result_is_taken_over(method: str, rebuild: bool) -> None:
    """Equal parameters get the first complete trial's value; the sampler is told, it replays."""
    study = study_of("reuse", method)
    for _ in range(12):
        if rebuild:
            study.rebuild()
        number = tried(study)
        if study.state.trials[number].reuses is not None:
            take_over(study, number)
    trials = study.state.trials
    reused = [trial for trial in trials.values() if trial.reuses is not None]
    assert len(reused) == 12 - distinct(study) > 0
    for trial in reused:
        first = trials[trial.reuses or 0]
        assert (first.params, first.value) == (trial.params, trial.value)
        assert first.reuses is None
    assert len(study.state.iterations) == 12
    found = replay(study.entries, {})
    assert found.passed, found.deviations


def test_only_complete_trials_are_taken_over() -> None:
    """What runs, was pruned or has failed is no result: such parameters are executed."""
    study = study_of("reuse", enqueue=[{"width": 1, "optimizer": "sgd"}] * 4)
    study.ask()
    for state in (TrialState.PRUNED, TrialState.FAILED):
        number = study.ask()
        assert study.state.trials[number].reuses is None
        study.report(number, 0, 1.0)
        study.finish(number, state)
    assert study.state.trials[study.ask()].reuses is None


def test_a_fork_has_no_result_for_others() -> None:
    """It began where another trial was: its result is not that of its parameters alone."""
    study = study_of("reuse", enqueue=[{"width": 1, "optimizer": "sgd"}, {"width": 2}])
    parent = tried(study)
    save(study, parent)
    forked = fork(study, parent, width=2)
    study.report(forked, 0, 0.0)
    study.finish(forked)
    accept(study, changed(study.spec, enqueue=[{"width": 2, "optimizer": "sgd"}]))
    assert study.state.trials[study.ask()].reuses is None


@pytest.mark.parametrize("method", ["random", "tpe", "qmc"])
def test_the_sampler_is_asked_again(method: str) -> None:
    """No parameters come twice, and once all have come nothing is left to ask for."""
    study, rebuilt = study_of("resample", method), study_of("resample", method)
    for trials in range(1, 7):
        rebuilt.rebuild()
        tried(rebuilt)
        tried(study)
        assert distinct(study) == trials
    assert study.entries == rebuilt.entries
    assert max(trial.asked.again for trial in study.state.trials.values()) > 0
    for each in (study, rebuilt):
        with pytest.raises(module.Exhausted):
            each.search.ask(each.state)
    assert replay(study.entries, {}).passed


def test_asking_again_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler that always says the same is believed after so many times."""
    monkeypatch.setattr(module, "RESAMPLED", 3)
    x = {"min": 0.0, "max": 9.0}
    study = study_of("resample", "past_study:stubborn", parameters={"x": x})
    for again in (0, 3):
        number = study.ask()
        assert study.state.trials[number].asked.again == again
        assert study.state.trials[number].params == {"x": 1.0}
    assert replay(study.entries, {}).passed


def test_what_is_enqueued_is_tried_as_it_is() -> None:
    """Somebody who lists a configuration twice wants it twice."""
    study = study_of("resample", enqueue=[{"width": 1, "optimizer": "sgd"}] * 2)
    assert study.state.trials[tried(study)].params == study.state.trials[tried(study)].params


def test_as_before_they_are_executed_again() -> None:
    """Without a word about it, equal parameters are executed each time."""
    study = study_of("rerun")
    for _ in range(12):
        assert study.state.trials[tried(study)].reuses is None
    assert distinct(study) < 12
