"""Which paused trial may go on: asynchronous successive halving.

``get_job`` of Algorithm 2 in Li et al., A System for Massively Parallel Hyperparameter Tuning,
arXiv 1810.05934. Of those that have reached a rung the best 1/eta may go beyond it, each once; the
highest rung that has one gives it first.

A trial that does not report at each step may pass a rung and be paused later. It is compared at the
step at which it was, with all that have a value there (`sweep.search.curves`): where all report
alike, these are those that have reached the rung.

Under ``deterministic: true`` those count whose turns (see `sweep.search.horizon`) are over, in the
order of turns, up to window turns back. Once no trial is left to ask, as many more count, in that
order, as it takes for one to go on.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from sweep.journal.event import (
    DriverStarted,
    Event,
    TrialAsked,
    TrialFinished,
    TrialForked,
    TrialPaused,
    TrialPromoted,
    TrialReported,
    TrialRetried,
)
from sweep.journal.state import Trial
from sweep.search.curves import Curves, Mark, Standing
from sweep.search.ladder import Ladder
from sweep.search.rules import Rules
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
    """Where a trial stands at a rung under the older rules, with whatever it has passed it."""

    unknown: bool
    badness: float
    order: int
    trial: int


@dataclass(slots=True)
class _Turn:
    """A trial that was begun or promoted, and the rung that it has reached since.

    ``reports`` is how many of the trial's reports there were before it, and up to its end.
    """

    trial: int
    place: _Place | None = None
    step: int = 0
    value: float | None = None
    over: bool = False
    reports: tuple[int, int] = (0, 0)


class Promotion:
    """Follows the journal, and answers from that alone.

    A rung is known by its steps, so what has happened keeps its meaning where the ladder changes;
    without a ladder nothing holds a paused trial back.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._brackets: dict[int, int] = {}
        self._rules = int(Rules.LATEST)
        self._standings: dict[_Place, list[_Standing]] = {}
        """Under the older rules."""
        self._curves = Curves()
        self._paused: dict[_Place, dict[int, set[int]]] = {}
        """The trials that are paused at a rung, by the step at which they are."""
        self._reached: dict[int, tuple[_Place, int]] = {}
        self._turns: list[_Turn] = []
        """All of them; where results count as they come, they wait for another spec."""
        self._last: dict[int, _Turn] = {}
        """Of each trial that is not finished."""
        self._counted = 0
        """Turns that count now: the first ones."""
        self._entered = 0
        """How often a trial came to stand at a rung."""
        self._lag = spec.lag
        self.adopt(spec)

    def adopt(self, spec: StudySpec) -> None:
        """Go on under another spec.

        Also where results counted as they came, or were those of a population, and are to count in
        turns from now on, or the reverse.
        """
        if spec.lag is None and self._lag is not None:
            while self._counted < len(self._turns):
                self._count()
        elif spec.lag is not None and self._lag is None:
            self._standings, self._paused, self._counted = {}, {}, 0
            self._curves.count_none()
        self._lag = spec.lag
        self._ladder = Ladder.of(spec.early_terminate)
        self._sign = -1.0 if spec.objective.goal is Goal.MAXIMIZE else 1.0
        self._curves.sign = self._sign

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

    def next(self, *, exhausted: bool) -> Candidate | None:
        """The paused trial that is to go on when a slot is free.

        ``exhausted``: no trial is left to ask.
        """
        if self._lag is None:
            return self._first()
        while self._counted <= len(self._turns) - self._lag:
            if not self._more_to_count():
                return None
            self._count()
        counted = self._counted
        first = self._first()
        while first is None and exhausted and self._more_to_count():
            self._count()
            first = self._first()
        while self._counted > counted:
            self._discount()
        return first

    def at_once(self, trial: int) -> bool:
        """Whether ``trial``, which has reached a rung, would be the next one if it were paused.

        Then it need not leave its slot. In the order of turns it has to, and takes the next.
        """
        if self._ladder is None or self._lag is not None or trial not in self._reached:
            return False
        place, step = self._reached[trial]
        self._pause(place, step, trial)
        first = self._first()
        self._go_on(place, step, trial)
        return first is not None and first.trial == trial

    def apply(self, event: Event) -> None:
        """Follow the journal by one event."""
        if isinstance(event, TrialReported) and event.value is not None and self.pauses:
            bracket = self._brackets.get(event.trial, 0)
            self._curves.report(event.trial, bracket, event.step, event.value)
            if self._lag is None:
                self._curves.count(event.trial, self._curves.reports(event.trial))
        self._follow_turns(event)
        match event:
            case DriverStarted():
                self._rules = event.rules
            case TrialRetried(from_scratch=True):
                self._forget(event.trial)
            case TrialAsked(bracket=int(bracket)):
                self._brackets[event.trial] = bracket
            case TrialForked() if event.parent in self._brackets:
                self._brackets[event.trial] = self._brackets[event.parent]
            case TrialReported(rung=int(rung)):
                place = self._place(event.trial, rung)
                self._reached[event.trial] = place, event.step
                if self._lag is None:
                    self._enter(place, event.trial, event.value)
            case TrialPaused() if self._lag is None:
                self._pause(*self._reached[event.trial], event.trial)
            case TrialPromoted() | TrialFinished() if event.trial in self._reached:
                self._go_on(*self._reached[event.trial], event.trial)
            case _:
                pass

    def _place(self, trial: int, rung: int) -> _Place:
        return _Place(-rung, self._brackets.get(trial, 0))

    def _follow_turns(self, event: Event) -> None:
        match event:
            case TrialPromoted() if not self._last[event.trial].over:
                pass  # at once: the turn goes on
            case TrialAsked() | TrialForked() | TrialPromoted() | TrialRetried():
                known = self._curves.reports(event.trial)
                self._last[event.trial] = turn = _Turn(event.trial, reports=(known, known))
                self._turns.append(turn)
            case TrialReported(rung=int(rung)):
                turn = self._last[event.trial]
                turn.place, turn.step = self._place(event.trial, rung), event.step
                turn.value = event.value
            case TrialPaused():
                self._end(self._last[event.trial])
            case TrialFinished():
                self._end(self._last.pop(event.trial))
            case _:
                pass

    def _forget(self, trial: int) -> None:
        """It begins anew, so that it stands at no rung: it will reach them once more."""
        self._reached.pop(trial, None)
        self._curves.forget(trial)
        for turn in self._turns:
            if turn.trial == trial:
                turn.place, turn.value, turn.reports = None, None, (0, 0)
        for place, standings in self._standings.items():
            self._standings[place] = [each for each in standings if each.trial != trial]

    def _end(self, turn: _Turn) -> None:
        turn.over = True
        turn.reports = turn.reports[0], self._curves.reports(turn.trial)

    def _more_to_count(self) -> bool:
        return self._counted < len(self._turns) and self._turns[self._counted].over

    def _count(self) -> None:
        """Have one more turn count."""
        turn = self._turns[self._counted]
        self._counted += 1
        end = turn.reports[1] if turn.over else self._curves.reports(turn.trial)
        self._curves.count(turn.trial, end)
        if turn.place is None:
            return
        self._enter(turn.place, turn.trial, turn.value)
        if turn.over and self._last.get(turn.trial) is turn:  # else it goes on, or is finished
            self._pause(turn.place, turn.step, turn.trial)

    def _discount(self) -> None:
        """Take back what was counted last."""
        self._counted -= 1
        turn = self._turns[self._counted]
        self._curves.count(turn.trial, turn.reports[0])
        if turn.place is None:
            return
        if self._rules < Rules.EQUAL_STEPS:
            standings = self._standings[turn.place]
            standings.remove(max(standings, key=lambda standing: standing.order))
        self._go_on(turn.place, turn.step, turn.trial)

    def _pause(self, place: _Place, step: int, trial: int) -> None:
        self._paused.setdefault(place, {}).setdefault(step, set()).add(trial)

    def _go_on(self, place: _Place, step: int, trial: int) -> None:
        held = self._paused.get(place, {})
        held.get(step, set()).discard(trial)
        if not held.get(step, True):
            del held[step]

    def _enter(self, place: _Place, trial: int, value: float | None) -> None:
        if self._rules >= Rules.EQUAL_STEPS:
            return
        standings = self._standings.setdefault(place, [])
        unknown = value is None or math.isnan(value)
        badness = 0.0 if value is None or unknown else self._sign * value
        insort(standings, _Standing(unknown, badness, len(standings), trial))

    def _first(self) -> Candidate | None:
        for place in sorted(place for place, held in self._paused.items() if held):
            held = self._paused[place]
            if self._rules < Rules.EQUAL_STEPS:
                found = self._among(self._standings[place], set().union(*held.values()))
                if found is not None:
                    return Candidate(found, place.rung)
                continue
            for step in sorted(held):
                standings = self._curves.standings(Mark(place.bracket, step))
                found = self._among(standings, held[step])
                if found is not None:
                    return Candidate(found, place.rung)
        return None

    def _among(self, standings: Sequence[_Standing | Standing], held: Container[int]) -> int | None:
        """The first one that is ``held`` among the best, or among all without a ladder."""
        if self._ladder is None:
            return next((each.trial for each in standings if each.trial in held), None)
        best = islice(standings, len(standings) // self._ladder.factor)
        return next((each.trial for each in best if each.trial in held and not each.unknown), None)
