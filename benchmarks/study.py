"""A study of `sweep` in memory, whose trials look up their results in a table.

Journal, search and planner are those of a real study; there is no driver and nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sweep.journal.event import (
    Entry,
    Event,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialPaused,
    TrialPromoted,
    TrialReported,
    TrialState,
)
from sweep.journal.fold import apply
from sweep.journal.state import StudyState
from sweep.search.search import Search
from sweep.spec import StudySpec

Values = Mapping[str, Sequence[Any]]
"""The values of each parameter of a table."""


def ordered(values: Sequence[Any]) -> bool:
    """Whether they are numbers, of which a sampler may know the order."""
    return not isinstance(values[0], str)


def places(values: Values, params: Mapping[str, Any]) -> list[int]:
    """Of each parameter's value. ``params`` has the place of an ordered one, else itself."""
    return [
        params[name] if ordered(each) else list(each).index(params[name])
        for name, each in values.items()
    ]


def spec_of(values: Values, sampler: str, seed: int, trials: int, **more: Any) -> StudySpec:
    """A study that minimises over the places of the values."""
    parameters = {
        name: {"min": 0, "max": len(each) - 1} if ordered(each) else {"values": list(each)}
        for name, each in values.items()
    }
    return StudySpec.model_validate(
        {
            "name": "quality",
            "program": "quality:none",
            "method": sampler,
            "metric": {"name": "loss"},
            "parameters": parameters,
            "trials": trials,
            "seed": seed,
            **more,
        }
    )


class Study:
    """The fold, and a search that follows it."""

    def __init__(self, spec: StudySpec) -> None:
        self.state, self.search = StudyState(), Search(spec)
        self.record(StudyCreated(spec=spec.model_dump(mode="json"), project=""))

    def record(self, event: Event) -> None:
        seq = self.state.seq + 1
        apply(self.state, Entry(seq=seq, time=float(seq), event=event))
        self.search.apply(event)

    def ask(self) -> TrialAsked:
        asked = self.search.ask(self.state)
        self.record(asked)
        return asked

    def dispatch(self, number: int) -> None:
        self.record(TrialDispatched(trial=number, attempt=1, session=1, checkpoint=None))

    def promote(self, number: int) -> None:
        """A trial that is paused, or has just reached its rung."""
        rung = self.state.trials[number].held_at
        if rung is None:
            raise ValueError(f"trial {number} is held at no rung")
        self.record(TrialPromoted(trial=number, rung=rung))

    def report(self, number: int, step: int, value: float) -> bool:
        """Whether the trial is paused there."""
        trial, promotion = self.state.trials[number], self.search.promotion
        rung = promotion.rung(trial, step)
        where: dict[str, Any] = {"trial": number, "attempt": 1, "step": step, "value": value}
        self.record(TrialReported(**where, metrics={"loss": value}, prune=None, rung=rung))
        if rung is None:
            return False
        if promotion.at_once(number):
            self.promote(number)
            return False
        self.record(TrialPaused(**where, checkpoint=None, rung=rung))
        return True

    def finish(self, number: int, value: float) -> None:
        """Of a value that is NaN the trial has failed, and no sampler learns from it."""
        failed = math.isnan(value)
        self.record(
            TrialFinished(
                trial=number,
                attempt=1,
                state=TrialState.FAILED if failed else TrialState.COMPLETE,
                value=None if failed else value,
                checkpoint=None,
            )
        )
        if not failed:
            self.record(self.search.tell(self.state, self.state.trials[number]))
