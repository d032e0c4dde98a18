"""What the live view says, as data: lines of studies, of slots and of failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice, pairwise
from typing import Any

from sweep.cli.live.progress import Progress, time_left
from sweep.cli.live.slots import Key, Slots
from sweep.cli.live.sparkline import thinned
from sweep.driver.plan import Limits
from sweep.driver.summary import idle_status
from sweep.journal.event import TrialState
from sweep.journal.state import StudyState, Trial
from sweep.search.ladder import Ladder
from sweep.spec import StudySpec
from sweep.spec.section import Goal

RUNNING = "running"
FAILURES = 3
"""So many failures are shown."""
CURVE = 64
"""So many points of an incumbent's curve are kept for a picture."""
SILENT_S, SILENT_TIMES = 30.0, 5.0
"""A trial is silent after so many seconds, and so many times its longest pause."""
RECENT = 32
"""A rate is that of so many reports, the newest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyLine:
    """How a study stands. ``incumbents`` are the best values as trials came in (of several
    metrics the sizes of the front), thinned; ``error`` says why the study cannot be read."""

    study: str
    status: str
    finished: int = 0
    total: int | None = None
    paused: int = 0
    pruned: int = 0
    failed: int = 0
    left_s: float | None = None
    metric: str | None = None
    minimized: bool = True
    best: float | None = None
    best_trial: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    front: int | None = None
    incumbents: Sequence[float | None] = ()
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotLine:
    """What a slot does. ``done`` are steps that the trial has had, ``steps`` those of a whole one,
    ``estimated`` where that is only what others had; ``rate`` is in reports a second."""

    slot: int
    study: str
    trial: int
    source: str | None
    done: int
    steps: int | None
    estimated: bool
    rate: float | None
    since_s: float
    value: float | None
    params: Mapping[str, Any]
    silent_s: float | None = None
    """For so long nothing was heard of it, where that is long for this trial."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureLine:
    """The newest failure of a kind."""

    study: str
    trial: int
    attempt: int
    time: float
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """All that a picture shows, at ``time``. A slot without a trial is None."""

    time: float
    studies: Sequence[StudyLine]
    slots: Sequence[SlotLine | None]
    failures: Sequence[FailureLine]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Subject:
    """A study that is followed: `state` changes, the rest says what to make of it.

    Attributes:
        name: that of the study's directory.
        progress: to be told of the entries of the state.
        steps: those of a whole trial, None where the spec does not say.
        running: whether a driver runs it.
    """

    def __init__(self, name: str, spec: StudySpec, limits: Limits, state: StudyState) -> None:
        self.name, self.spec, self.limits, self.state = name, spec, limits, state
        self.progress = Progress(state)
        self.running = True
        ladder = Ladder.of(spec.early_terminate)
        self.steps = None if ladder is None else ladder.top
        self._idle = (-1, "")

    @property
    def status(self) -> str:
        """``running``, or what an idle study is."""
        if self.running:
            return RUNNING
        if self._idle[0] != self.state.seq:
            self._idle = (self.state.seq, idle_status(self.spec, self.state))
        return self._idle[1]

    @property
    def executing(self) -> dict[Key, Trial]:
        """The trials that hold a slot."""
        if not self.running:
            return {}  # what a killed driver has left does nothing
        return {
            (self.name, trial.number): trial
            for trial in self.state.running.values()
            if trial.executing
        }


def view(
    subjects: Sequence[Subject],
    slots: Slots,
    now: float,
    studies: Sequence[StudyLine] | None = None,
) -> View:
    """The view of what goes on in ``subjects``, and of how these (or ``studies``) stand.

    Its cost is bounded: it depends on the number of slots and of studies, not of trials or reports.
    """
    executing = {
        key: (subject, trial) for subject in subjects for key, trial in subject.executing.items()
    }
    lines = [
        None if key is None else _slot_line(slot, *executing[key], now)
        for slot, key in enumerate(slots.place(executing))
    ]
    failures = [line for subject in subjects for line in _failure_lines(subject)]
    failures.sort(key=lambda line: -line.time)
    return View(
        time=now,
        studies=[study_line(each, now) for each in subjects] if studies is None else studies,
        slots=lines,
        failures=failures[:FAILURES],
    )


def study_line(subject: Subject, now: float) -> StudyLine:
    """How a study that is followed stands."""
    spec, state, best = subject.spec, subject.state, subject.state.best
    return StudyLine(
        study=subject.name,
        status=subject.status,
        finished=state.finished,
        total=max(subject.limits.total, state.asked) + state.forks,
        paused=len(state.paused),
        pruned=state.counts[TrialState.PRUNED],
        failed=state.counts[TrialState.FAILED],
        left_s=time_left(state, subject.limits, subject.progress, now) if subject.running else None,
        metric=spec.objective.name,
        minimized=not state.several and spec.objective.goal is Goal.MINIMIZE,
        best=None if best is None else best.value,
        best_trial=None if best is None else best.number,
        params={} if best is None else spec.space.searched(best.params),
        front=len(state.front) if state.several else None,
        incumbents=[
            each.front if state.several else each.best_value
            for each in thinned(state.iterations, CURVE)
        ],
    )


def _slot_line(slot: int, subject: Subject, trial: Trial, now: float) -> SlotLine:
    last = next(reversed(trial.reports.values()), None)
    return SlotLine(
        slot=slot,
        study=subject.name,
        trial=trial.number,
        source=None if trial.fork is None else trial.fork.source,
        done=0 if last is None else last.step + 1,
        steps=subject.steps or subject.progress.steps,
        estimated=subject.steps is None,
        rate=rate(trial, now),
        since_s=max(0.0, now - (trial.dispatched or now)),
        value=None if last is None else last.value,
        params=subject.spec.space.searched(trial.params),
        silent_s=silence(trial, subject.progress.pace_s, now),
    )


def silence(trial: Trial, usual: float | None, now: float) -> float | None:
    """For how long nothing was heard of a trial, where that is long; else None.

    It is long against the longest of its newest pauses between two reports. Before the first report
    of an attempt it is held against ``usual``, the seconds that others took for one.
    """
    begun = now if trial.dispatched is None else trial.dispatched
    times = [
        report.time
        for report in islice(reversed(trial.reports.values()), RECENT)
        if report.attempt == trial.attempts
    ]
    since = [begun] if len(times) < RECENT else []  # else there may be more between them
    pauses = [later - earlier for later, earlier in pairwise([*times, *since])]
    pace = max(pauses, default=usual)
    quiet = now - max(trial.updated, begun)
    return None if pace is None or quiet <= max(SILENT_S, SILENT_TIMES * pace) else quiet


def rate(trial: Trial, now: float) -> float | None:
    """Reports a second of this attempt, over the newest `RECENT` of them."""
    newest = [
        report.time
        for report in islice(reversed(trial.reports.values()), RECENT)
        if report.attempt == trial.attempts
    ]
    begun, made = trial.dispatched or now, len(newest)
    if made == RECENT:  # there may be more: what counts is the time since the oldest of these
        begun, made = newest[-1], made - 1
    return made / (now - begun) if made and now > begun else None


def _failure_lines(subject: Subject) -> list[FailureLine]:
    return [
        FailureLine(
            study=subject.name,
            trial=failure.trial,
            attempt=failure.attempt,
            time=failure.time,
            reason=failure.reason,
            count=failure.count,
        )
        for failure in subject.progress.failures[:FAILURES]
    ]
