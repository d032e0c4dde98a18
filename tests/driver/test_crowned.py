"""The checkpoints of all that were ever the best: which of them are kept, and a rule for all."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Project

import sweep
from sweep.analysis.study import Study
from sweep.checkpoint.record import CheckpointRecord, Kind
from sweep.driver.keeper import Keeper
from sweep.journal.event import (
    CheckpointSaved,
    Entry,
    Event,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialState,
    TrialTold,
)
from sweep.journal.fold import apply
from sweep.journal.state import StudyState
from sweep.spec import parse_spec

LEADERS = ["0@4.32.final", "1@4.32.final", "1@4.32.final", "3@4.32.final"]


def run(project: Project, keep: dict[str, Any]) -> Study:
    """Four trials, of which the first, the second and the last are the best in their turn."""
    values = {"target": [10.0, 30.0, 20.0, 32.0]}
    spec = project.spec(
        "s",
        program="measured:train",
        method="grid",
        parameters={name: {"values": given} for name, given in values.items()}
        | {"place": {"value": "end"}, "epochs": {"value": 4}},
        trials=4,
        checkpoint={"keep": keep},
    )
    done = project.call("run", spec, "--inline")
    assert done.returncode == 0, done.stderr
    return sweep.open_study(project.store / "s")


def test_the_table_says_which_are_kept(project: Project) -> None:
    """What retention has removed is named as such, and what is not can be loaded."""
    study = run(project, {"incumbents": 1})
    table = study.iterations
    assert list(table["best_checkpoint"]) == LEADERS
    assert list(table["best_kept"]) == [False, False, False, True]
    study.load_checkpoint(table["best_checkpoint"].iloc[-1])


@pytest.mark.parametrize("more", [{"incumbents": 1}, {"bytes": "1B"}, {"age": 1e-6}])
def test_each_incumbent_is_kept(project: Project, more: dict[str, Any]) -> None:
    """With `every_incumbent` no other rule takes what an iteration names; the others go."""
    study = run(project, {"every_incumbent": True, **more})
    assert study.iterations["best_kept"].all()
    for name in LEADERS:
        assert study.load_checkpoint(name).id == name
    kept = study.checkpoints[study.checkpoints["retired"].isna()]
    assert set(kept["id"]) == set(LEADERS)
    assert project.call("gc", "s").returncode == 0
    study.refresh()
    assert study.iterations["best_kept"].all()


YAML = """
program: a:b
metric: {name: loss}
parameters: {x: {min: 0.0, max: 1.0}}
method: random
trials: 9
deterministic: true
checkpoint: {keep: {incumbents: 1, every_incumbent: true}}
"""


class Told:
    """A study of three trials that have saved, and its keeper."""

    def __init__(self) -> None:
        self.spec = parse_spec(YAML, "study.yaml")
        self.state = StudyState()
        apply(self.state, Entry(seq=0, time=0.0, event=StudyCreated(spec={}, project="")))
        self.keeper = Keeper(self.spec, self.state)
        for trial in range(3):
            self.tell(
                TrialAsked(
                    trial=trial, params={}, latents={}, seed=0, wrote={}, told=0, running=[]
                ),
                TrialDispatched(trial=trial, attempt=1, session=1, checkpoint=None),
                CheckpointSaved(
                    trial=trial,
                    attempt=1,
                    step=0,
                    checkpoint=f"{trial}@1.0.final",
                    record=record(trial).to_json(),
                ),
            )

    def tell(self, *events: Event) -> None:
        for event in events:
            apply(self.state, Entry(seq=self.state.seq + 1, time=0.0, event=event))
            self.keeper.follow(event)

    def finish(self, trial: int, value: float) -> list[int]:
        """Trials of which something goes when this one is over."""
        self.tell(
            TrialFinished(
                trial=trial,
                attempt=1,
                state=TrialState.COMPLETE,
                value=value,
                checkpoint=f"{trial}@1.0.final",
            )
        )
        return self.going(trial)

    def going(self, trial: int) -> list[int]:
        return [number for number, _ in self.keeper.after_finish(trial)]

    def learn(self, trial: int, best: int, value: float) -> None:
        self.tell(
            TrialTold(
                trial=trial,
                value=value,
                checkpoint=f"{best}@1.0.final",
                iteration=len(self.state.iterations),
                best_trial=best,
                best_value=value,
                wrote={},
            )
        )


def record(trial: int) -> CheckpointRecord:
    return CheckpointRecord(
        id=f"{trial}@1.0.final",
        trial=trial,
        attempt=1,
        session=1,
        kind=Kind.FINAL,
        epoch=1,
        global_step=0,
        step=0,
        manifest=f"{trial}.json",
        digest="",
        bytes=10,
        new_bytes=10,
        saved=0.0,
        metrics={"loss": 1.0},
        measured=("loss",),
    )


@pytest.mark.parametrize("again", [False, True], ids=["followed", "resumed"])
def test_a_result_that_waits_may_yet_be_the_best(again: bool) -> None:
    """What is not told yet is held: where it becomes the incumbent for good, else until then."""
    told = Told()
    assert told.finish(2, 1.0) == []  # the best of all, but its turn has not come
    assert told.finish(1, 3.0) == []
    if again:
        told.keeper = Keeper(told.spec, told.state)
    told.finish(0, 2.0)
    told.learn(0, best=0, value=2.0)
    told.learn(1, best=0, value=2.0)
    told.learn(2, best=2, value=1.0)
    assert told.going(0) == [1]
    assert told.keeper.of_trial(0) == told.keeper.of_trial(2) == []
