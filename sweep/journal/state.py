"""The fold: a journal's entries become the state of the study.

`apply` is the only way in which a state changes. The running driver, a resume, the tables and
`sweep show` all go through it, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from sweep.errors import JournalError
from sweep.journal.event import (
    TRANSITIONS,
    AttemptFailed,
    AttemptStopped,
    CheckpointDamaged,
    CheckpointMigrated,
    CheckpointRetired,
    CheckpointSaved,
    DriverStarted,
    DriverStopped,
    Entry,
    HistoryAdded,
    SpecChanged,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialForked,
    TrialPaused,
    TrialPromoted,
    TrialReported,
    TrialRestored,
    TrialState,
    TrialTold,
)
from sweep.journal.idling import Idling


@dataclass(slots=True)
class Report:
    """Metrics of a trial at a step, as last made."""

    step: int
    attempt: int
    time: float
    value: float | None
    metrics: dict[str, float]
    last: bool = False


@dataclass(slots=True)
class Checkpoint:
    """A checkpoint that the journal knows.

    ``retired`` is when it ceased to be kept, ``damaged`` why it could not be restored (it is not
    tried again, but its files stay for whoever wants to look).
    """

    id: str
    trial: int
    attempt: int
    step: int | None
    record: dict[str, Any]
    saved: float
    retired: float | None = None
    damaged: str | None = None

    @property
    def content(self) -> str:
        """``full``, ``partial`` or ``light``: how much of the trial it holds."""
        return str(self.record.get("content", "full"))  # older records have none


@dataclass(slots=True)
class Trial:
    """One hyperparameter set and all that is known of it."""

    number: int
    asked: TrialAsked | TrialForked
    started: float
    updated: float
    state: TrialState = TrialState.RUNNING
    value: float | None = None
    """The objective's; of several objectives the first one's."""
    values: list[float] | None = None
    """Those of several objectives, in the order of the spec."""
    violations: list[float] = field(default_factory=list)
    """How much each constraint is exceeded; 0 or less where it is kept."""
    reports: dict[int, Report] = field(default_factory=dict)
    verdicts: dict[int, bool] = field(default_factory=dict)
    told: int | None = None
    """Number of the iteration in which it was told to the sampler: of equals the first leads."""
    left_out: str | None = None
    """Why the sampler does not know of it, since the space was changed, if so."""
    told_to_end: int | None = None
    """The newest attempt that the pruner told to end."""
    bracket: int | None = None
    """Of Hyperband; a fork has that of its parent."""
    rungs: dict[int, int] = field(default_factory=dict)
    """The rungs that it has reached, each with the step of the report; a resume takes none back."""
    promoted: int | None = None
    """The last rung beyond which it may go."""
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    attempts: int = 0
    failures: int = 0
    executing: bool = False
    dispatched: float | None = None
    duration: float = 0.0
    finished: float | None = None
    checkpoint: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str | None = None
    error: str | None = None
    successor: int | None = None
    """The trial that took its place in a population."""

    @property
    def params(self) -> dict[str, Any]:
        return self.asked.params

    @property
    def fork(self) -> TrialForked | None:
        """How the trial was forked off another one, if it was."""
        return self.asked if isinstance(self.asked, TrialForked) else None

    @property
    def reuses(self) -> int | None:
        """The trial whose result it takes over, if it does."""
        return None if isinstance(self.asked, TrialForked) else self.asked.reuses

    @property
    def queued(self) -> bool:
        """Whether no attempt of it was ever begun: a fork that waits for a run, say."""
        return not self.attempts and not self.state.finished

    @property
    def searched(self) -> bool:
        """Whether its parameters lie in the space, so that the sampler learns from it."""
        return self.fork is None or self.fork.inside

    @property
    def feasible(self) -> bool:
        """Whether it keeps every constraint, as far as is known."""
        return all(violation <= 0 for violation in self.violations)

    @property
    def step(self) -> int | None:
        """The last step that was reported."""
        return max(self.reports, default=None)

    @property
    def kept(self) -> list[Checkpoint]:
        """Checkpoints that are neither retired nor damaged, oldest first."""
        return [
            checkpoint
            for checkpoint in self.checkpoints.values()
            if checkpoint.retired is None and checkpoint.damaged is None
        ]

    @property
    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is kept; one that holds metrics only where there is no other.

        So what is loaded, exported or forked by default has a state.
        """
        newest_first = self.kept[::-1]
        states = (each for each in newest_first if each.content != "light")
        return next(states, newest_first[0] if newest_first else None)

    @property
    def held_at(self) -> int | None:
        """The rung at which it is paused, or is to be."""
        rung = max(self.rungs, default=None)
        return None if rung == self.promoted else rung

    @property
    def pruned_at(self) -> int | None:
        """The step at which the pruner decided to end the trial."""
        return next((step for step, prune in self.verdicts.items() if prune), None)


@dataclass(slots=True)
class Iteration:
    """One finished trial told to the sampler, and the incumbent (or the front) after it."""

    number: int
    trial: int
    value: float | None
    best_trial: int | None
    best_value: float | None
    best_checkpoint: str | None
    time: float
    front: int | None = None
    """How many trials are on the Pareto front; None with one objective."""


@dataclass(slots=True)
class StudyState:
    """All that a journal says, up to entry ``seq``."""

    seq: int = -1
    time: float = 0.0
    spec: dict[str, Any] = field(default_factory=dict)
    project: str = ""
    created: float = 0.0
    sessions: int = 0
    session: DriverStarted | None = None
    stopped: DriverStopped | None = None
    sources: dict[str, str] = field(default_factory=dict)
    """Digests of the functions that suggestions follow from, as last recorded."""
    active_s: float = 0.0
    session_started: float = 0.0
    trials: dict[int, Trial] = field(default_factory=dict)
    asked: int = 0
    """Trials that the sampler proposed: all but forks."""
    histories: list[HistoryAdded] = field(default_factory=list)
    """What the sampler was told of other studies."""
    running: dict[int, Trial] = field(default_factory=dict)
    """Unfinished trials that are not paused."""
    paused: dict[int, Trial] = field(default_factory=dict)
    idling: Idling = field(default_factory=Idling)
    """How much slot time was lost by waiting (`deterministic: true`)."""
    settled: int = 0
    """All trials below this number are finished."""
    untold: set[int] = field(default_factory=set)
    """Trials with a result that the sampler was not told yet."""
    iterations: list[Iteration] = field(default_factory=list)
    front: list[int] = field(default_factory=list)
    """Trials on the Pareto front of several objectives, in the order in which they came there."""
    counts: dict[TrialState, int] = field(default_factory=lambda: dict.fromkeys(TrialState, 0))

    @property
    def finished(self) -> int:
        return sum(count for state, count in self.counts.items() if state.finished)

    @property
    def unfinished(self) -> dict[int, Trial]:
        """Trials that are running or paused, by number."""
        return dict(sorted((self.running | self.paused).items()))

    @property
    def manifests(self) -> set[str]:
        """Names of the manifests of all checkpoints that are not retired, damaged ones too."""
        return {
            checkpoint.record["manifest"]
            for trial in self.trials.values()
            for checkpoint in trial.checkpoints.values()
            if checkpoint.retired is None
        }

    def snapshot(self) -> StudyState:
        """A state that stays as this one is now. Finished trials are the same objects."""
        unfinished = {
            number: replace(trial, reports=dict(trial.reports), verdicts=dict(trial.verdicts))
            for number, trial in self.unfinished.items()
        }
        return replace(
            self,
            trials=self.trials | unfinished,
            running={number: unfinished[number] for number in self.running},
            paused={number: unfinished[number] for number in self.paused},
            iterations=list(self.iterations),
            front=list(self.front),
            untold=set(self.untold),
            counts=dict(self.counts),
        )

    def due(self, *, in_order: bool) -> list[int]:
        """Trials whose results are to be told now: ``in_order``, none before an unfinished one."""
        return sorted(number for number in self.untold if not in_order or number < self.settled)

    @property
    def forks(self) -> int:
        """Trials that were forked off others; they do not count towards ``trials``."""
        return len(self.trials) - self.asked

    def fork_of(self, parent: int, source: str, params: dict[str, Any]) -> Trial | None:
        """The trial that was forked off a checkpoint with ``params``, if there is one."""
        wanted = (parent, source, params)
        for trial in self.trials.values():
            fork = trial.fork
            if fork is not None and (fork.parent, fork.source, fork.params) == wanted:
                return trial
        return None

    @property
    def objectives(self) -> list[str]:
        """Names of the metrics that the study optimises."""
        metric = self.spec["metric"]
        return [each["name"] for each in (metric if isinstance(metric, list) else [metric])]

    @property
    def several(self) -> bool:
        """Whether there are several objectives: then there is a front, and no incumbent."""
        return isinstance(self.spec.get("metric"), list)

    @property
    def pareto(self) -> list[Trial]:
        """The trials on the front, the best by the first objective first.

        With one objective it is the incumbent, if there is one.
        """
        if not self.several:
            return [] if self.best is None else [self.best]
        sign = -1.0 if self.spec["metric"][0]["goal"] == "maximize" else 1.0
        front = [self.trials[number] for number in self.front]
        return sorted(front, key=lambda trial: (sign * (trial.value or 0.0), trial.number))

    @property
    def best(self) -> Trial | None:
        """The incumbent: the best completed trial that keeps the constraints (the first of equals).

        None with several objectives, which have a `pareto` front.
        """
        if not self.iterations or self.iterations[-1].best_trial is None:
            return None
        return self.trials[self.iterations[-1].best_trial]


def fold(entries: Iterable[Entry]) -> StudyState:
    """The state after ``entries``."""
    state = StudyState()
    for entry in entries:
        apply(state, entry)
    return state


def apply(state: StudyState, entry: Entry) -> None:
    """Advance ``state`` by one entry.

    Raises:
        JournalError: the entry cannot follow what came before it.
    """
    if entry.seq != state.seq + 1:
        raise JournalError(f"event {entry.seq} follows event {state.seq}: the journal has a hole")
    event = entry.event
    if state.idling.slots and state.spec.get("deterministic"):
        executing = sum(trial.executing for trial in state.running.values())
        state.idling.passed(entry.time - state.time, executing)
    try:
        _APPLY[event.type](state, event, entry.time)
    except KeyError as error:
        raise JournalError(
            f"event {entry.seq} ({event.type}) names {error}, which the journal does not know"
        ) from error
    state.seq = entry.seq
    state.time = entry.time


def _created(state: StudyState, event: StudyCreated, time: float) -> None:
    state.spec, state.project, state.created = event.spec, event.project, time


def _changed(state: StudyState, event: SpecChanged, time: float) -> None:
    state.spec, state.project = event.spec, event.project
    left_out = {each[0]: each[1] for each in event.left_out}
    for number, trial in state.trials.items():
        trial.left_out = left_out.get(number)


def _history_added(state: StudyState, event: HistoryAdded, time: float) -> None:
    state.histories.append(event)


def _driver_started(state: StudyState, event: DriverStarted, time: float) -> None:
    _end_session(state)
    state.session, state.stopped, state.sessions = event, None, event.session
    state.session_started = time
    state.sources = state.sources | event.sources
    state.idling.begin(event.slots)


def _driver_stopped(state: StudyState, event: DriverStopped, time: float) -> None:
    state.time = time
    _end_session(state)
    state.stopped = event


def _end_session(state: StudyState) -> None:
    """A session that was killed lasted until its last event."""
    if state.session is not None and state.stopped is None:
        state.active_s += state.time - state.session_started
    for trial in state.running.values():
        _end_attempt(trial, trial.updated)


def _end_attempt(trial: Trial, time: float) -> None:
    if trial.executing and trial.dispatched is not None:
        trial.duration += time - trial.dispatched
    trial.executing = False
    trial.updated = time


def _asked(state: StudyState, event: TrialAsked, time: float) -> None:
    trial = _begin(state, event, time)
    trial.bracket = event.bracket
    state.asked += 1
    state.idling.asked()


def _forked(state: StudyState, event: TrialForked, time: float) -> None:
    parent = state.trials[event.parent]
    parent.checkpoints[event.source]  # must be known
    trial = _begin(state, event, time)
    trial.bracket = parent.bracket
    trial.checkpoints[event.checkpoint] = Checkpoint(
        event.checkpoint, event.trial, 0, event.step, event.record, time
    )
    if event.exploits is not None:
        state.trials[event.exploits].successor = event.trial


def _begin(state: StudyState, event: TrialAsked | TrialForked, time: float) -> Trial:
    if event.trial != len(state.trials):
        raise JournalError(f"trial {event.trial} was begun after trial {len(state.trials) - 1}")
    trial = Trial(number=event.trial, asked=event, started=time, updated=time)
    state.trials[event.trial] = state.running[event.trial] = trial
    state.counts[TrialState.RUNNING] += 1
    return trial


def _dispatched(state: StudyState, event: TrialDispatched, time: float) -> None:
    trial = state.running[event.trial]
    trial.attempts, trial.executing = event.attempt, True
    trial.dispatched = trial.updated = time


def _restored(state: StudyState, event: TrialRestored, time: float) -> None:
    trial = state.running[event.trial]
    keep = -1 if event.step is None else event.step
    trial.reports = {step: report for step, report in trial.reports.items() if step <= keep}
    for checkpoint, why in event.skipped:
        trial.checkpoints[checkpoint].damaged = why
    trial.updated = time


def _reported(state: StudyState, event: TrialReported, time: float) -> None:
    trial = state.running[event.trial]
    report = trial.reports.get(event.step)
    if report is None:
        report = trial.reports[event.step] = Report(event.step, event.attempt, time, None, {})
    # What an older attempt has left at this step is contained in the checkpoint it went on from.
    report.metrics.update(event.metrics)
    report.attempt, report.time, report.last = event.attempt, time, event.last
    report.value = event.value if event.value is not None else report.value
    if event.prune is not None:
        trial.verdicts[event.step] = event.prune
        trial.told_to_end = event.attempt if event.prune else trial.told_to_end
    if event.rung is not None:
        trial.rungs[event.rung] = event.step
    trial.updated = time


def _paused(state: StudyState, event: TrialPaused, time: float) -> None:
    trial = state.running[event.trial]
    trial.rungs[event.rung]  # must have been reached
    _end_attempt(trial, time)
    _enter(state, trial, TrialState.PAUSED)
    state.paused[event.trial] = state.running.pop(event.trial)


def _promoted(state: StudyState, event: TrialPromoted, time: float) -> None:
    trial = state.trials[event.trial]
    trial.rungs[event.rung]  # must have been reached
    if event.trial in state.paused:
        _enter(state, trial, TrialState.RUNNING)
        state.running[event.trial] = state.paused.pop(event.trial)
    trial.promoted, trial.updated = event.rung, time


def _enter(state: StudyState, trial: Trial, entered: TrialState) -> None:
    if entered not in TRANSITIONS[trial.state]:
        raise JournalError(f"trial {trial.number} went from {trial.state} to {entered}")
    state.counts[trial.state] -= 1
    state.counts[entered] += 1
    trial.state = entered


def _saved(state: StudyState, event: CheckpointSaved, time: float) -> None:
    trial = state.trials[event.trial]
    trial.checkpoints.pop(event.checkpoint, None)  # made again after a resume: now the newest
    trial.checkpoints[event.checkpoint] = Checkpoint(
        event.checkpoint, event.trial, event.attempt, event.step, event.record, time
    )
    trial.updated = time


def _retired(state: StudyState, event: CheckpointRetired, time: float) -> None:
    state.trials[event.trial].checkpoints[event.checkpoint].retired = time


def _damaged(state: StudyState, event: CheckpointDamaged, time: float) -> None:
    state.trials[event.trial].checkpoints[event.checkpoint].damaged = event.reason


def _migrated(state: StudyState, event: CheckpointMigrated, time: float) -> None:
    state.trials[event.trial].checkpoints[event.checkpoint].record = event.record


def _attempt_stopped(state: StudyState, event: AttemptStopped, time: float) -> None:
    _end_attempt(state.running[event.trial], time)


def _attempt_failed(state: StudyState, event: AttemptFailed, time: float) -> None:
    trial = state.running[event.trial]
    _end_attempt(trial, time)
    trial.failures += 1
    trial.reason, trial.error = event.reason, event.error


def _finished(state: StudyState, event: TrialFinished, time: float) -> None:
    unfinished = state.paused if event.trial in state.paused else state.running
    trial = unfinished[event.trial]
    _end_attempt(trial, time)
    _enter(state, trial, event.state)
    trial.value, trial.finished = event.value, time
    trial.values, trial.violations = event.values, event.violations
    trial.checkpoint, trial.metrics = event.checkpoint, event.metrics
    trial.reason, trial.error = event.reason, event.error
    del unfinished[event.trial]
    while state.settled in state.trials and state.trials[state.settled].state.finished:
        state.settled += 1
    if event.state is not TrialState.FAILED and trial.searched:
        state.untold.add(event.trial)


def _told(state: StudyState, event: TrialTold, time: float) -> None:
    state.trials[event.trial].told = event.iteration
    state.untold.discard(event.trial)
    if event.left:
        state.front = [number for number in state.front if number not in event.left]
    if event.entered:
        state.front.append(event.trial)
    state.iterations.append(
        Iteration(
            number=event.iteration,
            trial=event.trial,
            value=event.value,
            best_trial=event.best_trial,
            best_value=event.best_value,
            best_checkpoint=event.checkpoint,
            time=time,
            front=len(state.front) if state.several else None,
        )
    )


_APPLY: dict[str, Callable[[StudyState, Any, float], None]] = {
    kind.type: function
    for kind, function in (
        (StudyCreated, _created),
        (SpecChanged, _changed),
        (HistoryAdded, _history_added),
        (DriverStarted, _driver_started),
        (DriverStopped, _driver_stopped),
        (TrialAsked, _asked),
        (TrialForked, _forked),
        (TrialDispatched, _dispatched),
        (TrialRestored, _restored),
        (TrialReported, _reported),
        (TrialPaused, _paused),
        (TrialPromoted, _promoted),
        (CheckpointSaved, _saved),
        (CheckpointRetired, _retired),
        (CheckpointDamaged, _damaged),
        (CheckpointMigrated, _migrated),
        (AttemptStopped, _attempt_stopped),
        (AttemptFailed, _attempt_failed),
        (TrialFinished, _finished),
        (TrialTold, _told),
    )
}

HANDLED = frozenset(_APPLY)
"""Types of events for which the fold has a rule: all of them."""
