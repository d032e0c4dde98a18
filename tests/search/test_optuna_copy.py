"""A store as a storage of Optuna's: it follows the journals, reads late, and writes nothing."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from sweep.errors import JournalError, StoreError
from sweep.journal.event import (
    DriverStarted,
    Event,
    SpecChanged,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialPaused,
    TrialReported,
    TrialRestored,
    TrialTold,
)
from sweep.journal.event import TrialState as State
from sweep.journal.journal import Journal
from sweep.paths import StudyPaths
from sweep.search import optuna_copy
from sweep.search.optuna_copy import StoreCopy
from sweep.spec import StudySpec


@pytest.fixture(autouse=True)
def _each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question looks at the store."""
    monkeypatch.setattr(optuna_copy, "LOOK_S", 0.0)


def spec(**content: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": "s",
        "program": "a:b",
        "method": "random",
        "trials": 9,
        "metric": {"name": "loss"},
        "constraints": ["size <= 1"],
        "parameters": {
            "x": {"min": 0.0, "max": 1.0},
            "kind": {"values": [1, True, "a"]},
            "momentum": {"min": 0.5, "max": 0.9, "when": {"kind": "a"}},
        },
    }
    return StudySpec.model_validate(base | content).model_dump(mode="json")


def created(**content: Any) -> StudyCreated:
    return StudyCreated(spec=spec(**content), project="/")


def session(number: int) -> DriverStarted:
    return DriverStarted(session=number, host="h", pid=1, versions={}, slots=1)


def asked(trial: int, **params: Any) -> TrialAsked:
    return TrialAsked(trial=trial, params=params, latents={}, seed=0, wrote={}, told=0, running=[])


def begun(trial: int, attempt: int = 1) -> TrialDispatched:
    return TrialDispatched(trial=trial, attempt=attempt, session=1, checkpoint=None)


def reported(trial: int, step: int, value: float, rung: int | None = None) -> TrialReported:
    metrics = {"loss": value, "size": value / 2}
    return TrialReported(
        trial=trial, attempt=1, step=step, value=value, metrics=metrics, prune=None, rung=rung
    )


def finished(trial: int, state: State, value: float | None = None, **more: Any) -> TrialFinished:
    return TrialFinished(trial=trial, attempt=1, state=state, value=value, checkpoint=None, **more)


def told(trial: int, best: int, value: float) -> TrialTold:
    return TrialTold(
        trial=trial,
        value=value,
        checkpoint=None,
        iteration=0,
        best_trial=best,
        best_value=value,
        wrote={},
    )


STORY: Sequence[Event] = [
    created(),
    session(1),
    asked(0, x=0.1, kind="a", momentum=0.6),
    begun(0),
    reported(0, 0, 3.0),
    reported(0, 1, 2.0),
    reported(0, 2, 9.0),
    session(2),  # the driver was killed: the trial goes on after its step 1
    begun(0, 2),
    TrialRestored(trial=0, attempt=2, step=1, checkpoint=None, skipped=[]),
    reported(0, 2, 1.0),
    finished(0, State.COMPLETE, 1.0, violations=[-0.5]),
    told(0, 0, 1.0),
    asked(1, x=0.2, kind=True),
    asked(2, x=0.3, kind=1),
    begun(1),
    begun(2),
    reported(1, 0, float("nan")),
    finished(1, State.FAILED, reason="RuntimeError: no", error="Traceback"),
    reported(2, 0, 4.0),
    finished(2, State.PRUNED, 4.0, violations=[1.0]),
    asked(3, x=1.5, kind="a", momentum=0.7),  # wider than the space: from a time before it
    begun(3),
    reported(3, 0, 0.5, rung=1),
    TrialPaused(trial=3, attempt=1, step=0, value=0.5, checkpoint=None, rung=1),
    SpecChanged(spec=spec(parameters={"x": {"min": -1.0, "max": 1.0}}), project="/", changes=[]),
]


def test_what_follows_is_what_is_read_anew(tmp_path: Path) -> None:
    """After each event the copy that has followed from the first one shows what a new one does."""
    journal = Journal(StudyPaths.of(tmp_path, "s").journal)
    following = StoreCopy(tmp_path)
    for event in STORY:
        journal.append(event)
        journal.flush()
        fresh = StoreCopy(tmp_path)
        assert following.get_all_studies() == fresh.get_all_studies()
        known, made = following.get_all_trials(1), fresh.get_all_trials(1)
        assert [shown(trial) for trial in known] == [shown(trial) for trial in made]
    journal.close()


def shown(trial: FrozenTrial) -> str:
    """A trial with its id; a NaN is like another."""
    return repr((trial._trial_id, trial, trial._system_attrs))


def test_trials_are_shown_as_they_are(tmp_path: Path) -> None:
    """A step that was executed again is replaced; states, violations and ranges are right."""
    write(tmp_path, STORY[:-1])
    copy = StoreCopy(tmp_path)
    done, failed, pruned, paused = copy.get_all_trials(1)
    assert done.intermediate_values == {0: 3.0, 1: 2.0, 2: 1.0}
    assert (done.state, done.value) == (TrialState.COMPLETE, 1.0)
    assert done.user_attrs == {"size": 0.5, "attempts": 2}
    assert done.system_attrs["constraints"] == [-0.5]
    assert done.params == {"x": 0.1, "kind": '"a"', "momentum": 0.6}
    assert done.distributions["x"] == FloatDistribution(0.0, 1.5)
    assert done.distributions["kind"] == CategoricalDistribution(["1", "true", '"a"'])
    assert failed.state is TrialState.FAIL
    assert failed.user_attrs["reason"] == "RuntimeError: no"
    assert "momentum" not in failed.params
    assert (pruned.state, pruned.value) == (TrialState.PRUNED, 4.0)
    assert (paused.state, paused.user_attrs["state"]) == (TrialState.RUNNING, "paused")
    assert copy.get_best_trial(1).number == 0
    assert copy.get_trial(pruned._trial_id) == pruned
    with pytest.raises(KeyError):
        copy.get_trial(paused._trial_id + 1)


def test_the_best_keeps_the_constraints(tmp_path: Path) -> None:
    """As `sweep best` has it; where none does, the best of all, since Optuna wants one."""
    first = [created(), session(1), asked(0, x=0.1, kind=1), begun(0)]
    exceeds = finished(0, State.COMPLETE, 1.0, violations=[2.0])
    second = [asked(1, x=0.2, kind=1), begun(1)]
    keeps = finished(1, State.COMPLETE, 5.0, violations=[0.0])
    journal = write(tmp_path, [*first, exceeds], leave=True)
    copy = StoreCopy(tmp_path)
    assert copy.get_best_trial(1).number == 0
    journal.append(*second, keeps, told(1, 1, 5.0))
    journal.close()
    assert copy.get_best_trial(1).number == 1


def test_several_objectives_have_their_names(tmp_path: Path) -> None:
    """And directions, and values of all."""
    metric = [{"name": "loss"}, {"name": "accuracy", "goal": "maximize"}]
    done = finished(0, State.COMPLETE, 1.0, values=[1.0, 0.9])
    events = [created(metric=metric, constraints=[]), session(1), asked(0, x=0.1), begun(0), done]
    write(tmp_path, events)
    copy = StoreCopy(tmp_path)
    (study,) = copy.get_all_studies()
    assert [each.name for each in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert study.system_attrs["study:metric_names"] == ["loss", "accuracy"]
    assert copy.get_all_trials(1)[0].values == [1.0, 0.9]


def write(store: Path, events: Sequence[Event], name: str = "s", *, leave: bool = False) -> Journal:
    journal = Journal(StudyPaths.of(store, name).journal)
    journal.append(*events)
    journal.flush()
    if not leave:
        journal.close()
    return journal


def names(copy: StoreCopy) -> dict[int, str]:
    return {study._study_id: study.study_name for study in copy.get_all_studies()}


def test_studies_come_and_go(tmp_path: Path) -> None:
    """One that is made anew under its name is another one, also where its journal is as long."""
    write(tmp_path, STORY, "a")
    copy = StoreCopy(tmp_path)
    assert names(copy) == {1: "a"}
    write(tmp_path, STORY, "b")
    assert names(copy) == {1: "a", 2: "b"}
    assert len(copy.get_all_trials(1)) == 4
    shutil.rmtree(tmp_path / "a")
    write(tmp_path, STORY[:3], "a")
    assert names(copy) == {3: "a", 2: "b"}
    assert len(copy.get_all_trials(3)) == 1
    with pytest.raises(KeyError):
        copy.get_all_trials(1)
    shutil.rmtree(tmp_path / "b")
    write(tmp_path, STORY, "b")
    assert names(copy) == {3: "a", 4: "b"}
    shutil.rmtree(tmp_path)
    assert names(copy) == {}


def test_a_damaged_study_is_shown_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    """It is said once, the others are there, and once it is mended it goes on."""
    said: list[str] = []
    write(tmp_path, STORY, "good")
    journal = write(tmp_path, STORY[:4], "bad", leave=True)
    directory = StudyPaths.of(tmp_path, "bad").journal
    journal.append(*STORY[4:])
    journal.flush()
    newest = max(directory.iterdir())
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-9])
    copy = StoreCopy(tmp_path, said.append)
    for _ in range(3):
        assert names(copy) == {1: "bad", 2: "good"}
        (trial,) = copy.get_all_trials(1)
        assert trial.state is TrialState.RUNNING
        assert len(copy.get_all_trials(2)) == 4
    assert [str(newest) in line for line in said] == [True]
    with pytest.raises(JournalError, match="torn"):
        copy.read(StudyPaths.of(tmp_path, "bad"), len)
    newest.write_bytes(whole)
    assert len(copy.get_all_trials(1)) == 4
    journal.close()


def test_one_that_cannot_even_begin_to_be_read_is_left_out(tmp_path: Path) -> None:
    """And said, while a file beside the studies is none."""
    said: list[str] = []
    write(tmp_path, STORY, "good")
    write(tmp_path, STORY, "bad")
    (only,) = StudyPaths.of(tmp_path, "bad").journal.iterdir()
    only.write_bytes(b"PAR1")
    (tmp_path / "notes.txt").touch()
    copy = StoreCopy(tmp_path, said.append)
    assert list(names(copy).values()) == ["good"]
    assert list(names(copy).values()) == ["good"]
    assert [str(only) in line for line in said] == [True]


def test_a_study_is_read_when_its_trials_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To list a store is to read the first row of each journal."""
    for name in ("a", "b"):
        write(tmp_path, STORY, name)
    read: list[Path] = []
    update = optuna_copy.TrialsCopy.update
    monkeypatch.setattr(
        optuna_copy.TrialsCopy, "update", lambda self: (read.append(self), update(self))
    )
    copy = StoreCopy(tmp_path)
    assert len(copy.get_all_studies()) == 2
    assert copy.name_of(2) == "b"
    assert read == []
    copy.get_all_trials(2)
    assert len(read) == 1


def test_the_store_is_looked_at_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is asked."""
    monkeypatch.setattr(optuna_copy, "LOOK_S", 3600.0)
    write(tmp_path, STORY, "a")
    copy = StoreCopy(tmp_path)
    assert names(copy) == {1: "a"}
    write(tmp_path, STORY, "b")
    assert names(copy) == {1: "a"}


def test_nothing_can_be_written(tmp_path: Path) -> None:
    """Each method of Optuna's storages that writes, by its name, is refused."""
    write(tmp_path, STORY)
    copy = StoreCopy(tmp_path)
    writing = [
        method
        for name, method in inspect.getmembers(copy, inspect.ismethod)
        if name.startswith(("set_", "create_", "delete_")) and hasattr(BaseStorage, name)
    ]
    assert len(writing) >= 10
    for method in writing:
        wanted = inspect.signature(getattr(BaseStorage, method.__name__)).parameters
        with pytest.raises(StoreError, match="read-only"):
            method(*[1] * (len(wanted) - 1))
