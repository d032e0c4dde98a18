"""The planner: what is to be done next, as a pure function.

It knows neither Ray nor clocks nor files: tests put states in and read actions out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sweep.checkpoint.record import Kind
from sweep.journal.event import TrialState
from sweep.journal.state import StudyState, Trial
from sweep.search.configuration import total
from sweep.search.population import Population
from sweep.search.promotion import Candidate
from sweep.search.rounds import population_of
from sweep.spec import MaxFailures, StudySpec

LONGEST_PAUSE_S = 300.0
"""No trial rests longer than that after an interruption."""

IN_A_ROW = 8
"""So many interruptions of each trial that is left halt the study."""

TROUBLE = 3
"""After so many trials were interrupted, and nothing else happened, no new one is asked."""

INTERRUPTED = "interruptions"
"""Why a study halts in which nothing but interruptions happens."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Let the sampler propose the next trial; it is dispatched by the plan after that."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Hand an unfinished trial to a slot, from its newest checkpoint."""

    trial: int


@dataclass(frozen=True, slots=True)
class Judge:
    """Give the verdict on a member of the population that waits for it."""

    trial: int


@dataclass(frozen=True, slots=True)
class Exploit:
    """Have a fork take the place of a member of the population that made way."""

    trial: int


@dataclass(frozen=True, slots=True)
class Promote:
    """Let a paused trial go on beyond its rung; it is dispatched by the plan after that."""

    trial: int
    rung: int


@dataclass(frozen=True, slots=True)
class Conclude:
    """Finish a trial for which nothing is left to execute, or pause it."""

    trial: int
    state: TrialState


@dataclass(frozen=True, slots=True)
class Halt:
    """End the study here; it can go on later."""

    reason: str


Action = Ask | Dispatch | Judge | Exploit | Promote | Conclude | Halt


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What bounds a study. ``timeout`` is in seconds on drivers in all; forks are not counted."""

    total: int
    concurrency: int | None
    timeout: float | None
    retries: int
    interruptions: int | None = None
    max_failures: MaxFailures = "none"
    population: Population | None = None
    lag: int | None = None
    """How many turns back the newest result is that a trial is asked with; None: any."""

    @classmethod
    def of(cls, spec: StudySpec, state: StudyState | None = None) -> Limits:
        """Of a study that has come to ``state``, if it has begun."""
        return cls(
            total=total(spec, state),
            concurrency=spec.concurrency,
            timeout=spec.timeout,
            retries=spec.retries,
            interruptions=spec.interruptions,
            max_failures=spec.max_failures,
            population=population_of(spec),
            lag=spec.lag,
        )


def plan(
    state: StudyState,
    capacity: int,
    limits: Limits,
    now: float,
    candidate: Candidate | None = None,
    resting: Collection[int] = (),
) -> list[Action]:
    """The actions for a study that may take ``capacity`` more slots at time ``now``.

    Unfinished trials come before new ones, by number, so that a resume goes on where it was. At
    most one new trial is asked at a time: the next ask sees it running. ``candidate`` is the paused
    trial that may go on; it comes before a new one. Once none can become one any more, those that
    are left are over.

    Of a population the places that are vacant are taken first. Then members run in turn, those that
    are furthest behind first, and new ones before any that has an interval behind it. One that left
    its slot before it could be judged is judged when it is its turn. Where members wait for each
    other, all are judged before any place is taken.

    Trials that are ``resting`` after an interruption (see `pause_s`) hold no slot and keep none
    from others. While nothing but interruptions happens, no new trial is asked, and then the study
    halts.
    """
    if timed_out(state, limits, now):
        return [Halt("timeout")]
    if candidate is None and stuck(state, limits) is not None:
        return [Halt(INTERRUPTED)]
    waiting = [trial for trial in state.running.values() if not trial.executing]
    population = limits.population
    actions: list[Action] = []
    if population is not None:
        actions += [Judge(number) for number in population.unjudged(state)]
        actions += [Exploit(number) for number in population.vacant(state)]
    room = min(capacity, free(state, limits))
    for trial in sorted(waiting, key=lambda trial: _turn(trial, population)):
        conclusion = _conclusion(trial, limits)
        if conclusion is not None:
            actions.append(conclusion)
        elif room > 0 and trial.number not in resting and _has_its_turn(state, trial, limits):
            if population is not None and population.awaits_verdict(state, trial):
                actions.append(Judge(trial.number))
                room -= 1
            elif population is None or population.may_run(state, trial):
                actions.append(Dispatch(trial.number))
                room -= 1
    if candidate is not None:
        if room > 0:
            actions.append(Promote(candidate.trial, candidate.rung))
    elif state.asked < limits.total:
        if room > 0 and askable(state, limits) and not _troubled(state):
            actions.append(Ask())
    elif not state.running:
        actions += [Conclude(number, TrialState.PRUNED) for number in sorted(state.paused)]
    return actions


def pause_s(setbacks: int) -> float:
    """Seconds that a trial rests after so many interruptions in a row: 0, 1, 2, 4, 8 and so on.

    Where memory ran out, say, it must not be taken again at once.
    """
    return 0.0 if setbacks < 2 else min(2.0 ** (setbacks - 2), LONGEST_PAUSE_S)


def stuck(state: StudyState, limits: Limits) -> int | None:
    """A trial that was interrupted `IN_A_ROW` times without getting further, where the same holds
    for all that are left and no new one is to be asked; None where anything else can happen."""
    left = list(state.running.values())
    if any(trial.executing or trial.setbacks < IN_A_ROW for trial in left):
        return None
    if askable(state, limits) and not _troubled(state):
        return None
    return max(left, key=lambda trial: trial.setbacks).number if left else None


def _troubled(state: StudyState) -> bool:
    """Whether interruptions are all that happens: a new trial would end as those before it."""
    return len(state.setbacks) >= TROUBLE


def askable(state: StudyState, limits: Limits) -> bool:
    """True where a trial is left to be asked, and the results are there that it is to be asked
    with: under ``deterministic: true`` those of up to ``lag`` turns back."""
    in_turn = limits.lag is None or state.turns - limits.lag < state.settled
    return in_turn and state.asked < limits.total


def preparable(state: StudyState, limits: Limits, candidate: Candidate | None = None) -> bool:
    """True where a new trial would be the next to get a slot, and none was asked for it yet."""
    waits = candidate is not None or not all(each.executing for each in state.running.values())
    return askable(state, limits) and not waits


def is_complete(state: StudyState, limits: Limits) -> bool:
    """True where every trial of the study is finished, forks included."""
    return not state.running and not state.paused and state.asked >= limits.total


def timed_out(state: StudyState, limits: Limits, now: float) -> bool:
    """True where drivers have spent the time that the study may take."""
    return limits.timeout is not None and elapsed(state, now) >= limits.timeout


def elapsed(state: StudyState, now: float) -> float:
    """Seconds that drivers have spent on the study."""
    live = state.session is not None and state.stopped is None
    return state.active_s + (now - state.session_started if live else 0.0)


def free(state: StudyState, limits: Limits) -> int:
    """How many more trials ``concurrency`` allows."""
    if limits.concurrency is None:
        return limits.total
    return limits.concurrency - sum(trial.executing for trial in state.running.values())


def too_often_interrupted(trial: Trial, limits: Limits) -> bool:
    """True where a trial had more interruptions than the spec allows."""
    return limits.interruptions is not None and trial.interruptions > limits.interruptions


def _turn(trial: Trial, population: Population | None) -> tuple[int, int]:
    return (0, trial.number) if population is None else population.turn(trial)


def _has_its_turn(state: StudyState, trial: Trial, limits: Limits) -> bool:
    """Whether ``trial`` comes before the members that have not begun, or all have."""
    population = limits.population
    if population is None:
        return True
    return state.asked >= limits.total or _turn(trial, population)[0] <= 0


def _conclusion(trial: Trial, limits: Limits) -> Conclude | None:
    if trial.reuses is not None:
        return Conclude(trial.number, TrialState.COMPLETE)
    if trial.stopped:
        return Conclude(trial.number, TrialState.PRUNED)
    if trial.failures > limits.retries or too_often_interrupted(trial, limits):
        return Conclude(trial.number, TrialState.FAILED)
    if not trial.kept:
        return None
    if trial.held_at is not None:
        newest = trial.kept[-1]
        saved = newest.record["kind"] == Kind.PAUSED and newest.rung == trial.held_at
        return Conclude(trial.number, TrialState.PAUSED) if saved else None
    if trial.pruned_at is None:
        return None
    if limits.population is not None and trial.told_to_end is None:
        return Conclude(trial.number, TrialState.PRUNED)  # judged where it had saved and waits
    # The trial was judged and had saved its end: only that it ended was not recorded.
    ended = trial.kept[-1].record["kind"] in (Kind.PRUNED, Kind.FINAL)
    return Conclude(trial.number, TrialState.PRUNED) if ended else None
