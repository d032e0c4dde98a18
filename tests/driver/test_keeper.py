"""Retention while a study runs: what the keeper says is what the plan of the whole study says."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.driver.keeper import Keeper
from sweep.journal.event import (
    CheckpointDamaged,
    CheckpointRetired,
    CheckpointSaved,
    Entry,
    Event,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialState,
)
from sweep.journal.fold import apply
from sweep.journal.state import StudyState
from sweep.spec import StudySpec, parse_spec

YAML = """
program: a:b
metric: {{name: loss}}
parameters: {{x: {{min: 0.0, max: 1.0}}}}
method: random
trials: 100000
checkpoint: {{keep: {keep}}}
"""


class Told:
    """A study and its keeper, told of events as a driver tells them."""

    def __init__(self, keep: str) -> None:
        self.spec: StudySpec = parse_spec(YAML.format(keep=keep), "study.yaml")
        self.state = StudyState()
        apply(
            self.state,
            Entry(seq=0, time=0.0, event=StudyCreated(spec={}, project="")),
        )
        self.keeper = Keeper(self.spec, self.state)

    def tell(self, *events: Event) -> None:
        for event in events:
            apply(self.state, Entry(seq=self.state.seq + 1, time=0.0, event=event))
            self.keeper.follow(event)

    def begin(self, trial: int) -> None:
        self.tell(
            TrialAsked(trial=trial, params={}, latents={}, seed=0, wrote={}, told=0, running=[]),
            TrialDispatched(trial=trial, attempt=1, session=1, checkpoint=None),
        )

    def save(self, trial: int, epoch: int, **fields: Any) -> str:
        name = f"{trial}@{epoch}.0"
        given: dict[str, Any] = {
            "metrics": {"loss": float(epoch)},
            "bytes": 10,
            "new_bytes": 10,
            "saved": float(epoch),
            "content": Content.FULL,
        }
        record = CheckpointRecord(
            id=name,
            trial=trial,
            attempt=1,
            session=1,
            kind=Kind.PERIODIC,
            epoch=epoch,
            global_step=0,
            step=epoch,
            manifest=f"{name}.json",
            digest="",
            **(given | fields),
        )
        self.tell(
            CheckpointSaved(
                trial=trial, attempt=1, step=epoch, checkpoint=name, record=record.to_json()
            )
        )
        return name

    def finish(self, trial: int, value: float) -> None:
        self.tell(
            TrialFinished(
                trial=trial,
                attempt=1,
                state=TrialState.COMPLETE,
                value=value,
                checkpoint=None,
            )
        )

    def retire(self, entries: list[tuple[int, Any]]) -> list[str]:
        for trial, gone in entries:
            self.tell(CheckpointRetired(trial=trial, checkpoint=gone.id, reason=gone.reason))
        return [gone.id for _, gone in entries]


def test_pinned_until_it_is_let_go() -> None:
    """What was handed to an attempt stays while it reads, and goes with the next look after it."""
    told = Told("{last: 1, best: 0}")
    told.begin(0)
    first, second = told.save(0, 1), told.save(0, 2)
    told.keeper.pin(0, [first, second])
    assert told.keeper.of_trial(0) == []
    assert told.keeper.of_study(0.0) == []
    told.keeper.unpin(0)
    assert told.retire(told.keeper.of_trial(0)) == [first]


def test_displaced_incumbent_loses_its_checkpoints() -> None:
    """A better trial takes the place of the worst incumbent as soon as it is finished."""
    told = Told("{last: 1, best: 1, incumbents: 1}")
    for trial, value in ((0, 3.0), (1, 5.0), (2, 1.0)):
        told.begin(trial)
        told.save(trial, 1)
        told.finish(trial, value)
        gone = told.retire(told.keeper.after_finish(trial))
        assert gone == {0: [], 1: ["1@1.0"], 2: ["0@1.0"]}[trial]
    assert told.keeper.of_study(0.0) == []


def test_bytes_are_followed(caplog: pytest.LogCaptureFixture) -> None:
    """Saves, retirements and damage are counted; a budget that cannot be met warns once."""
    told = Told("{last: 9, best: 0, bytes: 25B}")
    told.begin(0)
    for epoch in (1, 2):
        told.save(0, epoch)
    assert told.keeper.budget_left == 5
    assert not told.keeper.pressed(0.0)
    told.save(0, 3)
    assert told.keeper.pressed(0.0)
    assert told.retire(told.keeper.of_study(0.0)) == ["0@1.0"]
    told.tell(CheckpointDamaged(trial=0, checkpoint="0@2.0", reason="torn"))
    assert told.keeper.bytes == 10
    told.save(0, 4, bytes=100)
    with caplog.at_level(logging.WARNING, "sweep"):
        assert told.retire(told.keeper.of_study(0.0)) == ["0@3.0"]
        assert told.keeper.of_study(0.0) == []
    assert len(caplog.records) == 1
    assert "more than checkpoint.keep.bytes (25)" in caplog.text


def test_ages_are_looked_at_in_time() -> None:
    """The ages of the study are due at once, and then a tenth of the age later."""
    told = Told("{last: 9, best: 0, age: 100s}")
    told.begin(0)
    told.save(0, 1)
    told.save(0, 50)
    assert told.keeper.pressed(100.0)
    assert told.retire(told.keeper.of_study(100.0)) == []
    assert not told.keeper.pressed(109.0)
    assert told.keeper.pressed(110.0)
    assert told.retire(told.keeper.of_study(110.0)) == ["0@1.0"]
    assert told.retire(told.keeper.of_study(1e6)) == []


def test_a_save_in_a_large_study_is_cheap() -> None:
    """With 10,000 checkpoints, a save costs the keeper less than a millisecond."""
    told = Told("{last: 2, best: 0, bytes: 20GB, age: 7d}")
    for trial in range(5000):
        told.begin(trial)
        told.save(trial, 1)
        told.save(trial, 2)
    told.keeper.of_study(0.0)
    begun = time.process_time()
    for trial in range(100):
        told.save(trial, 3)
        assert len(told.retire(told.keeper.of_trial(trial))) == 1
        assert not told.keeper.pressed(1.0)
    assert (time.process_time() - begun) / 100 < 1e-3
