"""What older journals do not say of a checkpoint: whether it was saved at a report."""

from __future__ import annotations

from typing import Any

import pytest

from sweep.journal.event import (
    CheckpointSaved,
    Entry,
    StudyCreated,
    TrialAsked,
    TrialForked,
    TrialReported,
)
from sweep.journal.fold import apply
from sweep.journal.state import StudyState

EPOCHS, STEPS, BOTH = {"epochs": 1}, {"steps": 3}, {"epochs": 1, "steps": 3}
Row = tuple[int, int, int, str]
"""Epochs, steps and step of the last report, and the kind of a checkpoint."""


def state_of(rows: list[Row], **checkpoint: Any) -> StudyState:
    """A study of one trial: each epoch has reported a loss, and the even ones an accuracy."""
    spec = {"metric": {"name": "loss", "goal": "minimize"}, "checkpoint": checkpoint}
    state = StudyState()

    def add(event: Any) -> None:
        apply(state, Entry(seq=state.seq + 1, time=0.0, event=event))

    add(StudyCreated(spec=spec, project=""))
    add(TrialAsked(trial=0, params={}, latents={}, seed=0, wrote={}, told=0, running=[]))
    reported = -1
    for epoch, steps, step, kind in rows:
        for each in range(reported + 1, step + 1):
            metrics = {"loss": 1.0 / (each + 1)} | ({} if each % 2 else {"accuracy": 0.5})
            add(
                TrialReported(
                    trial=0,
                    attempt=1,
                    step=each,
                    value=metrics["loss"],
                    metrics=metrics,
                    prune=None,
                )
            )
            reported = each
        record = {
            "epoch": epoch,
            "global_step": steps,
            "step": step,
            "kind": kind,
            "metrics": {"loss": 1.0 / (step + 1), "accuracy": 0.5},
        }
        name = f"0@{epoch}.{steps}{'.final' if kind == 'final' else ''}"
        add(CheckpointSaved(trial=0, attempt=1, step=step, checkpoint=name, record=record))
    return state


@pytest.mark.parametrize(
    ("rows", "checkpoint", "measured"),
    [
        # after each epoch
        ([(1, 8, 0, "periodic"), (2, 16, 1, "periodic")], {}, ["loss accuracy", "loss"]),
        # in mid-epoch, too: those carry the metrics of the report before
        (
            [(2, 16, 1, "periodic"), (2, 19, 1, "periodic"), (2, 22, 1, "stop")],
            {"every": BOTH},
            ["loss", "", ""],
        ),
        # only in mid-epoch: nobody knows
        ([(2, 18, 1, "periodic"), (2, 21, 1, "periodic")], {"every": STEPS}, ["", ""]),
        ([(1, 8, 0, "periodic")], {"every": EPOCHS, "overhead": 0.02}, [""]),
        ([(1, 8, 0, "periodic"), (3, 24, 2, "manual")], {"every": {"epochs": 2}}, None),
        # the report of an epoch that is not over
        ([(1, 12, 1, "periodic")], {}, [""]),
        # kinds that are made at reports
        ([(2, 16, 1, "improvement")], {"every": STEPS}, ["loss"]),
        ([(2, 16, 1, "paused")], {"every": "none"}, ["loss"]),
        ([(4, 32, 3, "periodic"), (4, 32, 3, "final")], {"every": EPOCHS}, ["loss", "loss"]),
        # the end, after steps of an epoch that has not reported
        ([(4, 32, 3, "periodic"), (4, 35, 3, "final")], {"every": EPOCHS}, ["loss", ""]),
        # no steps at all: every safe point is at a report
        ([(1, 0, 0, "stop")], {"every": STEPS}, ["loss accuracy"]),
    ],
)
def test_older_records(
    rows: list[Row], checkpoint: dict[str, Any], measured: list[str] | None
) -> None:
    """Positions in, metrics out that are certainly those of the state that was saved."""
    found = state_of(rows, **checkpoint).trials[0].checkpoints.values()
    expected = ["loss accuracy", ""] if measured is None else measured
    assert [" ".join(each.record["measured"]) for each in found] == expected


def test_a_fork_is_the_state_of_its_source() -> None:
    """What was measured of the source was measured of the first checkpoint of the fork."""
    state = state_of([(2, 16, 1, "periodic"), (2, 19, 1, "periodic")], every=BOTH)
    for trial, source in ((1, "0@2.16"), (2, "0@2.19")):
        fork = TrialForked(
            trial=trial,
            parent=0,
            source=source,
            step=1,
            checkpoint=f"{trial}@2.16",
            record={"kind": "fork", "epoch": 2, "global_step": 16, "metrics": {"loss": 0.5}},
            params={},
            latents={},
            inside=True,
        )
        apply(state, Entry(seq=state.seq + 1, time=0.0, event=fork))
    assert state.trials[1].checkpoints["1@2.16"].value("loss") == 0.5
    assert state.trials[2].checkpoints["2@2.16"].value("loss") is None
