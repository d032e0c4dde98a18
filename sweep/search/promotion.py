"""Which paused trial may go on: asynchronous successive halving.

``get_job`` of Algorithm 2 in Li et al., A System for Massively Parallel Hyperparameter Tuning,
arXiv 1810.05934. Of those that have reached a rung the best 1/eta may go beyond it, each once; the
highest rung that has one gives it first.
"""

from __future__ import annotations

import math
from bisect import insort
from typing import NamedTuple

from sweep.journal.event import (
    Event,
    TrialAsked,
    TrialFinished,
    TrialForked,
    TrialPaused,
    TrialPromoted,
    TrialReported,
)
from sweep.journal.state import Trial
from sweep.search.ladder import Ladder
from sweep.spec import Goal, StudySpec


class Candidate(NamedTuple):
    """A trial that may go on beyond a rung, which counts steps."""

    trial: int
    rung: int


class _Place(NamedTuple):
    """A rung of a bracket; the highest rungs come first."""

    below: int
    bracket: int

    @property
    def rung(self) -> int:
        return -self.below


class _Standing(NamedTuple):
    """Where a trial stands at a rung: the best first, of equals the first, NaN last."""

    unknown: bool
    badness: float
    order: int
    trial: int


class Promotion:
    """Follows the journal, and answers from that alone.

    A rung is known by its steps, so what has happened keeps its meaning where the ladder changes;
    without a ladder nothing holds a paused trial back.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._brackets: dict[int, int] = {}
        self._standings: dict[_Place, list[_Standing]] = {}
        self._paused: dict[_Place, set[int]] = {}
        self._reached: dict[int, _Place] = {}
        self.adopt(spec)

    def adopt(self, spec: StudySpec) -> None:
        """Go on under another spec."""
        self._ladder = Ladder.of(spec.early_terminate)
        self._sign = -1.0 if spec.objective.goal is Goal.MAXIMIZE else 1.0

    @property
    def pauses(self) -> bool:
        """Whether trials are paused at rungs."""
        return self._ladder is not None

    def bracket(self, place: int) -> int | None:
        """The bracket of the trial that is asked at ``place``, see `Ladder.bracket`."""
        return None if self._ladder is None else self._ladder.bracket(place)

    def rung(self, trial: Trial, step: int) -> int | None:
        """The rung that ``trial`` reaches with a report of the objective at ``step``.

        None where it is to be paused already. What a fork's parent has done is not its own.
        """
        if self._ladder is None or trial.held_at is not None:
            return None
        begun = 0 if trial.fork is None or trial.fork.step is None else trial.fork.step + 1
        after = max(trial.rungs, default=begun)
        return self._ladder.rung(trial.bracket, step + 1, after)

    def next(self) -> Candidate | None:
        """The paused trial that is to go on when a slot is free."""
        return self._first()

    def at_once(self, trial: int) -> bool:
        """Whether ``trial``, which has reached a rung, would be the next one if it were paused.

        Then it need not leave its slot.
        """
        if self._ladder is None or trial not in self._reached:
            return False
        place = self._reached[trial]
        held = self._paused.setdefault(place, set())
        held.add(trial)
        first = self._first()
        held.discard(trial)
        return first is not None and first.trial == trial

    def apply(self, event: Event) -> None:
        """Follow the journal by one event."""
        match event:
            case TrialAsked(bracket=int(bracket)):
                self._brackets[event.trial] = bracket
            case TrialForked() if event.parent in self._brackets:
                self._brackets[event.trial] = self._brackets[event.parent]
            case TrialReported(rung=int(rung)):
                place = _Place(-rung, self._brackets.get(event.trial, 0))
                self._reached[event.trial] = place
                self._enter(place, event.trial, event.value)
            case TrialPaused():
                self._paused.setdefault(self._reached[event.trial], set()).add(event.trial)
            case TrialPromoted() | TrialFinished() if event.trial in self._reached:
                self._paused.get(self._reached[event.trial], set()).discard(event.trial)
            case _:
                pass

    def _enter(self, place: _Place, trial: int, value: float | None) -> None:
        standings = self._standings.setdefault(place, [])
        unknown = value is None or math.isnan(value)
        badness = 0.0 if value is None or unknown else self._sign * value
        insort(standings, _Standing(unknown, badness, len(standings), trial))

    def _first(self) -> Candidate | None:
        for place in sorted(place for place, held in self._paused.items() if held):
            held, standings = self._paused[place], self._standings[place]
            if self._ladder is not None:
                standings = standings[: len(standings) // self._ladder.factor]
            for standing in standings:
                if standing.trial in held and not (self._ladder is not None and standing.unknown):
                    return Candidate(standing.trial, place.rung)
        return None
