"""Events of a small study, as tests of the journal want them."""

from __future__ import annotations

from sweep.journal.event import (
    StudyCreated,
    TrialAsked,
    TrialReported,
)


def created() -> StudyCreated:
    return StudyCreated(spec={"name": "s", "metric": {"name": "loss"}}, project="/p")


def asked(number: int) -> TrialAsked:
    return TrialAsked(
        trial=number,
        params={"lr": 0.1 * number, "kind": "a"},
        latents={},
        seed=1,
        wrote={},
        told=0,
        running=[],
    )


def reported(trial: int, step: int, value: float) -> TrialReported:
    return TrialReported(
        trial=trial, attempt=0, step=step, value=value, metrics={"loss": value}, prune=None
    )
