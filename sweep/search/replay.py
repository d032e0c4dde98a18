"""Replay: all that was decided in a study is derived again from its journal, and compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from sweep.errors import ProgramError, UsageError
from sweep.journal.event import (
    DriverStarted,
    Entry,
    HistoryAdded,
    SpaceExhausted,
    SpecChanged,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialForked,
    TrialJudged,
    TrialPaused,
    TrialPromoted,
    TrialReported,
    TrialState,
    TrialTold,
)
from sweep.journal.fold import apply
from sweep.journal.state import StudyState
from sweep.search.configuration import total
from sweep.search.define import space_of
from sweep.search.fitting import fitted
from sweep.search.fork import vary
from sweep.search.promotion import Candidate
from sweep.search.proposal import Exhausted
from sweep.search.result import known, told_as_worst, values_of, violations_of
from sweep.search.search import Search
from sweep.spec import StudySpec

CHANGED = "the event"
"""What deviates where an event is not as it was written."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """Something in the journal that does not follow from what is before it."""

    seq: int
    trial: int | None
    what: str
    journal: Any
    derived: Any

    def __str__(self) -> str:
        if self.what == CHANGED:
            return f"event {self.seq}: was changed after it was written"
        whose = "" if self.trial is None else f"trial {self.trial}: "
        return (
            f"event {self.seq}: {whose}{self.what}: "
            f"the journal has {self.journal!r}, derived is {self.derived!r}"
        )


@dataclass(slots=True)
class Replay:
    """What a replay found.

    ``imported`` trials were suggested elsewhere: of them only follows where their parameters lie in
    the space, and their ends are taken as they are. ``drift`` maps a package to (recorded,
    installed) versions, and a space function to the beginnings of its source's digests.
    """

    suggestions: int = 0
    imported: int = 0
    forks: int = 0
    exploits: int = 0
    verdicts: int = 0
    pauses: int = 0
    promotions: int = 0
    tellings: int = 0
    deviations: list[Deviation] = field(default_factory=list)
    drift: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return not self.deviations


_ASKED = (
    *("trial", "seed", "params", "latents", "wrote", "told", "running"),
    *("saw", "bracket", "enqueued", "again", "reuses"),
)
"""What a suggestion consists of."""

_DECISIVE = ("optuna", "numpy", "scipy")
"""Packages whose version a suggestion may depend on."""


def replay(
    entries: Iterable[Entry],
    installed: Mapping[str, str],
    changed: Sequence[int] = (),
    sources: Mapping[str, str] = MappingProxyType({}),
) -> Replay:
    """Derive every suggestion, verdict, promotion, incumbent and front of ``entries`` again.

    They are gone through twice; those of an iterator are gathered for it.
    ``installed`` are the versions at hand, ``sources`` the digests of functions at hand (as in
    `DriverStarted`), ``changed`` the events whose digests do not fit.

    Raises:
        ProgramError: a sampler or a space of the user's cannot be had, or the sampler fails on a
            result.
    """
    found = Replay()
    if isinstance(entries, Iterator):
        entries = list(entries)
    ahead = _Ahead(entries)
    for seq in changed:
        found.deviations.append(Deviation(seq, None, CHANGED, "changed", "as it was written"))
    state = StudyState()
    search: Search | None = None
    due: int | None = None
    for entry in entries:
        event = entry.event
        if due is not None and not (isinstance(event, TrialPromoted) and event.trial == due):
            _check(found, entry.seq, due, "promotion at once", False, True)
        due = None
        if isinstance(event, StudyCreated):
            search = Search(StudySpec.accepted(event.spec), event.project)
        if isinstance(event, DriverStarted):
            for name in _DECISIVE:
                was, now = event.versions.get(name, "-"), installed.get(name, "-")
                if was != now:
                    found.drift[name] = (was, now)
            for name, was in event.sources.items():
                now = sources.get(name, was)
                if was != now:
                    found.drift[name] = (was[:12], now[:12])
        if search is not None:
            _compare(found, state, search, entry, ahead)
            apply(state, entry)
            search.apply(event)
            ahead.look(search, state)
            if isinstance(event, TrialReported) and event.rung is not None:
                due = event.trial if search.promotion.at_once(event.trial) else None
        else:
            apply(state, entry)
    return found


class _Ahead:
    """Suggestions that were prepared before events that came between: asked at their time."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        events = (entry.event for entry in entries)
        self._wanted = {each.saw for each in events if isinstance(each, TrialAsked)}
        self._made: dict[int, TrialAsked | BaseException] = {}

    def look(self, search: Search, state: StudyState) -> None:
        """Ask now, where the journal has a suggestion that was made now."""
        if state.seq in self._wanted:
            try:
                self._made[state.seq] = replace(search.ask(state), saw=state.seq)
            except (ValueError, KeyError, StopIteration, ProgramError, Exhausted) as error:
                self._made[state.seq] = error

    def take(self, saw: int) -> TrialAsked:
        """What was asked after the event ``saw``, or the error that it raised."""
        made = self._made.pop(saw, None)
        if made is None:
            raise ValueError(f"it names event {saw}, which does not come before it")
        if isinstance(made, BaseException):
            raise made
        return made


def _compare(found: Replay, state: StudyState, search: Search, entry: Entry, ahead: _Ahead) -> None:
    seq, event = entry.seq, entry.event
    match event:
        case TrialAsked() if event.imported is not None:
            found.imported += 1
            _check_imported(found, state, seq, event)
        case TrialAsked():
            found.suggestions += 1
            search.prepare()
            try:
                derived = search.ask(state) if event.saw is None else ahead.take(event.saw)
            except (ValueError, KeyError, StopIteration, ProgramError, Exhausted) as error:
                found.deviations.append(
                    Deviation(seq, event.trial, "suggestion", event.params, repr(error))
                )
                return
            _check_nothing_waits(found, state, search, seq, event.trial)
            for name in _ASKED:
                _check(found, seq, event.trial, name, getattr(event, name), getattr(derived, name))
        case SpaceExhausted():
            found.suggestions += 1
            _check(found, seq, None, "tried", event.tried, state.asked)
            _check(found, seq, None, "end of the space", True, _is_exhausted(search, state))
        case SpecChanged():
            spec = StudySpec.accepted(event.spec)
            accepted = search.accept(spec, event.project, event.changes)
            _check(found, seq, None, "left_out", event.left_out, accepted.left_out)
        case HistoryAdded():
            _check_history(found, state, seq, event)
        case TrialForked():
            found.forks += 1
            if event.exploits is not None:
                found.exploits += 1
                _check_exploit(found, state, search, seq, event)
            _check_fork(found, state, seq, event)
        case TrialReported():
            _check_report(found, state, search, seq, event)
        case TrialJudged():
            found.verdicts += 1
            trial, population = state.trials[event.trial], search.population
            judged = None if population is None else population.judgement(state, trial)
            _check(found, seq, event.trial, "verdict", (event.step, event.prune), judged)
        case TrialPaused():
            found.pauses += 1
            trial = state.trials[event.trial]
            rung = trial.held_at
            _check(found, seq, event.trial, "rung", event.rung, rung)
            if rung is not None:
                step = trial.rungs[rung]
                value = trial.reports[step].value if step in trial.reports else None
                _check(found, seq, event.trial, "step", event.step, step)
                _check(found, seq, event.trial, "value where it is paused", event.value, value)
        case TrialPromoted():
            found.promotions += 1
            _check_promotion(found, state, search, seq, event)
        case TrialDispatched() if search.population is not None:
            waits = not search.population.may_run(state, state.trials[event.trial])
            _check(found, seq, event.trial, "wait for others", False, waits)
        case TrialFinished():
            paused = state.trials[event.trial].state is TrialState.PAUSED
            if paused and not state.trials[event.trial].stopped:
                _check_nothing_waits(found, state, search, seq, event.trial)
            if event.state is TrialState.FAILED:
                spec = StudySpec.accepted(state.spec)
                worst = told_as_worst(spec, event.cause)
                _check(found, seq, event.trial, "told as worst", event.worst, worst)
            else:
                _check_result(found, state, seq, event)
        case TrialTold():
            found.tellings += 1
            if state.spec.get("deterministic"):
                due = next(iter(state.due(in_order=True)), None)
                _check(found, seq, event.trial, "turn", event.trial, due)
            told = search.tell(state, state.trials[event.trial])
            for name in _TOLD:
                _check(found, seq, event.trial, name, getattr(event, name), getattr(told, name))
        case _:
            pass


def _is_exhausted(search: Search, state: StudyState) -> bool:
    try:
        search.ask(state)
    except Exhausted:
        return True
    except (ValueError, KeyError, StopIteration, ProgramError):
        pass
    return False


_TOLD = (
    *("value", "values", "iteration", "best_trial", "best_value", "checkpoint"),
    *("entered", "left", "wrote"),
)
"""What is derived again of a result that was told."""


def _check_history(found: Replay, state: StudyState, seq: int, event: HistoryAdded) -> None:
    """What another study has found is taken as it is; where that lies in this space follows."""
    spec = StudySpec.accepted(state.spec)
    space = space_of(spec, state.project)
    for one in event.trials:
        name = f"{event.source}/{one['number']}"
        try:
            latents = fitted(space, one["params"], spec.defaults)
        except (ValueError, ProgramError) as error:
            found.deviations.append(Deviation(seq, None, name, one["latents"], str(error)))
        else:
            _check(found, seq, None, name, one["latents"], latents)


def _check_imported(found: Replay, state: StudyState, seq: int, event: TrialAsked) -> None:
    """The parameters are another program's choice; what the sampler knows of them follows."""
    space = space_of(StudySpec.accepted(state.spec), state.project)
    latents: dict[str, list[Any]] = {}
    if event.inside:
        try:
            latents = fitted(space, event.params, {})
        except (ValueError, ProgramError) as error:
            found.deviations.append(Deviation(seq, event.trial, "import", event.params, str(error)))
            return
    _check(found, seq, event.trial, "latents", event.latents, latents)


def _check_result(found: Replay, state: StudyState, seq: int, event: TrialFinished) -> None:
    spec, trial = StudySpec.accepted(state.spec), state.trials[event.trial]
    values = values_of(spec, trial, event.metrics)
    several = (list(known(values)) or None) if len(values) > 1 else None
    violations = list(known(violations_of(spec, trial, event.metrics)))
    first = next(iter(values.values()))
    if first is not None and math.isnan(first):
        first = None  # of a member of a population that made way
    if trial.stopped:  # by a user, so it may have ended before all of them were known
        first = next(iter(known(values)), None)
    ends = trial.pruned_at is not None or trial.state is TrialState.PAUSED
    succeeds = trial.fork is not None and trial.fork.exploits is not None
    # Nothing was left to do for the one, and the other was ended elsewhere.
    if not ((succeeds and not trial.reports) or trial.stopped) and trial.imported is None:
        state_ = TrialState.PRUNED if ends else TrialState.COMPLETE
        _check(found, seq, event.trial, "state", str(event.state), str(state_))
    _check(found, seq, event.trial, "value", event.value, first)
    _check(found, seq, event.trial, "values", event.values, several)
    _check(found, seq, event.trial, "violations", event.violations, violations)
    if trial.reuses is not None:
        older = state.trials[trial.reuses]
        _check(found, seq, event.trial, "result taken over", event.value, older.value)


def _check_fork(found: Replay, state: StudyState, seq: int, event: TrialForked) -> None:
    """A fork's parameters are its user's choice; what the sampler knows of them follows."""
    space = space_of(StudySpec.accepted(state.spec), state.project)
    try:
        derived = vary(space, event.params, event.params, force=not event.inside)
    except (UsageError, ProgramError) as error:
        found.deviations.append(Deviation(seq, event.trial, "fork", event.params, str(error)))
        return
    for name in ("params", "latents", "inside"):
        _check(found, seq, event.trial, name, getattr(event, name), getattr(derived, name))


def _check_exploit(
    found: Replay, state: StudyState, search: Search, seq: int, event: TrialForked
) -> None:
    """Who takes a place in a population, off whom and with which parameters follows, too."""
    population, place = search.population, event.exploits
    derived = None
    if population is not None and place in state.trials and place is not None:
        derived = population.succession(state, place)
    if derived is None:
        found.deviations.append(Deviation(seq, event.trial, "exploits", place, None))
        return
    for name in ("parent", "source", "params"):
        _check(found, seq, event.trial, name, getattr(event, name), getattr(derived, name))


def _check_promotion(
    found: Replay, state: StudyState, search: Search, seq: int, event: TrialPromoted
) -> None:
    trial = state.trials[event.trial]
    _check(found, seq, event.trial, "rung", event.rung, trial.held_at)
    if trial.state is TrialState.PAUSED:
        first = _candidate(state, search)
        _check(found, seq, event.trial, "promotion", event.trial, first and first.trial)
    else:
        at_once = search.promotion.at_once(event.trial)
        _check(found, seq, event.trial, "promotion at once", True, at_once)


def _check_nothing_waits(
    found: Replay, state: StudyState, search: Search, seq: int, trial: int
) -> None:
    """Nothing new begins, and no paused trial ends, while another one may be promoted."""
    first = _candidate(state, search)
    _check(found, seq, trial, "promotion before it", None, first and first.trial)


def _candidate(state: StudyState, search: Search) -> Candidate | None:
    """The paused trial that may go on, if there is one."""
    waits = search.promotion.pauses or bool(state.paused)
    ordered = waits and bool(state.spec.get("deterministic"))
    spec = StudySpec.accepted(state.spec) if ordered else None
    exhausted = spec is not None and state.asked >= total(spec, state)
    return search.promotion.next(exhausted=exhausted)


def _check_report(
    found: Replay, state: StudyState, search: Search, seq: int, event: TrialReported
) -> None:
    metric = state.objectives[0]
    _check(
        found,
        seq,
        event.trial,
        f"value at step {event.step}",
        event.value,
        event.metrics.get(metric),
    )
    trial = state.trials[event.trial]
    rung = None if event.value is None else search.promotion.rung(trial, event.step)
    _check(found, seq, event.trial, f"rung at step {event.step}", event.rung, rung)
    if search.population is not None:
        if event.value is not None:
            found.verdicts += event.prune is not None
            derived = search.population.judge(
                state, trial, event.step, event.value, last=event.last
            )
            what = f"verdict at step {event.step}"
            _check(found, seq, event.trial, what, event.prune, derived)
        return
    again = event.step in trial.verdicts
    prune: bool | None = None
    wrote: dict[str, Any] = {}
    if event.value is not None and (search.prunes or again):
        found.verdicts += not again
        prune, wrote = search.judge(trial, event.step, event.value)
    _check(found, seq, event.trial, f"verdict at step {event.step}", event.prune, prune)
    _check(found, seq, event.trial, f"rungs at step {event.step}", event.wrote, wrote)


def _check(
    found: Replay, seq: int, trial: int | None, what: str, journal: Any, derived: Any
) -> None:
    if isinstance(journal, Mapping) and isinstance(derived, Mapping):
        for name in dict.fromkeys([*journal, *derived]):
            _check(found, seq, trial, f"{what}.{name}", journal.get(name), derived.get(name))
        return
    if not _same(journal, derived):
        found.deviations.append(Deviation(seq, trial, what, journal, derived))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
