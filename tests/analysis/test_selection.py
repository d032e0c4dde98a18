"""Which checkpoint of a trial "best" and "latest" mean."""

from __future__ import annotations

import math

import pytest

from sweep.analysis.selection import BEST, LATEST, select
from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.errors import StudyNotFoundError
from sweep.journal.event import CheckpointSaved, Entry, StudyCreated, TrialAsked
from sweep.journal.fold import apply
from sweep.journal.state import StudyState

NAN = math.nan


def state_of(goal: str, *losses: float | None, light: int | None = None) -> StudyState:
    """A study whose trial 0 has saved a checkpoint with each of ``losses``, epochs from 1."""
    state = StudyState()
    spec = {"metric": {"name": "loss", "goal": goal}}
    asked = TrialAsked(trial=0, params={}, latents={}, seed=0, wrote={}, told=0, running=[])
    events = [StudyCreated(spec=spec, project=""), asked]
    for epoch, loss in enumerate(losses, 1):
        record = CheckpointRecord(
            id=f"0@{epoch}.0",
            trial=0,
            attempt=1,
            session=1,
            kind=Kind.PERIODIC,
            epoch=epoch,
            global_step=0,
            step=epoch - 1,
            manifest=f"{epoch}.json",
            digest="",
            bytes=1,
            new_bytes=1,
            saved=0.0,
            parent=None,
            metrics={} if loss is None else {"loss": loss},
            content=Content.LIGHT if epoch == light else Content.FULL,
        )
        events.append(
            CheckpointSaved(
                trial=0, attempt=1, step=epoch - 1, checkpoint=record.id, record=record.to_json()
            )
        )
    for seq, event in enumerate(events):
        apply(state, Entry(seq=seq, time=0.0, event=event))
    return state


@pytest.mark.parametrize(
    ("losses", "lowest", "highest"),
    [
        ([NAN, 2.0, 1.0, NAN], 3, 2),
        ([1.0, 1.0, 2.0, 2.0], 2, 4),
        ([None, 3.0, None], 2, 2),
        ([math.inf, -math.inf, NAN], 1, 2),
    ],
)
def test_best(losses: list[float | None], lowest: int, highest: int) -> None:
    """NaN, a missing metric and what nothing beats never are the best; of equals the newer is."""
    for goal, epoch in (("minimize", lowest), ("maximize", highest)):
        assert select(state_of(goal, *losses), "s", 0, BEST).id == f"0@{epoch}.0"


def test_nothing_is_best() -> None:
    """Where no value counts there is no best, but a latest."""
    state = state_of("minimize", NAN, None)
    with pytest.raises(StudyNotFoundError, match="no checkpoint of trial 0 is the best"):
        select(state, "s", 0, BEST)
    assert select(state, "s", 0, LATEST).id == "0@2.0"


def test_light_ones_hold_no_state() -> None:
    """A light checkpoint is neither the best nor the latest, whatever its metric."""
    state = state_of("minimize", 2.0, 1.0, light=2)
    assert select(state, "s", 0, BEST).id == "0@1.0"
    assert select(state, "s", 0, LATEST).id == "0@1.0"
