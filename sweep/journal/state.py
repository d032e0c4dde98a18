"""What is known of a study: the state that its journal folds to (`sweep.journal.fold`)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from sweep.journal.attempt import Attempt, End
from sweep.journal.event import (
    AttemptFailed,
    AttemptInterrupted,
    Cause,
    DriverStarted,
    DriverStopped,
    HistoryAdded,
    TrialAsked,
    TrialForked,
    TrialState,
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
    rung: int | None = None
    """The rung at which the trial was to be paused when this was saved."""

    def value(self, metric: str) -> float | None:
        """What ``metric`` was where this very state was measured; None where it was not."""
        if metric not in self.record["measured"]:
            return None
        value: float | None = self.record["metrics"].get(metric)
        return value

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
    prunings: int = 0
    """How many of the verdicts say that the trial ends."""
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
    turn: int = 0
    """The turn that it was begun in, or promoted last."""
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    attempts: int = 0
    executions: list[Attempt] = field(default_factory=list)
    """Each attempt of which the journal says when it was begun."""
    failed: list[AttemptFailed] = field(default_factory=list)
    forgiven: int = 0
    """So many of its failures came before a user had it retried, and count no more."""
    interrupted: list[AttemptInterrupted] = field(default_factory=list)
    excused: int = 0
    """So many of its interruptions came before a user had it retried, and count no more."""
    setbacks: int = 0
    """How often it was interrupted in this session since it last got further."""
    furthest: int = -1
    """The highest step that it has ever reported, taken back or not."""
    executing: bool = False
    dispatched: float | None = None
    duration: float = 0.0
    finished: float | None = None
    checkpoint: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str | None = None
    error: str | None = None
    retried: int = 0
    """How often a user had it run again after it was over."""
    stopped: bool = False
    """Whether a user wants it to end where it is, or it has ended so."""
    cause: Cause | None = None
    """What failed it, where that is known."""
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
    def failures(self) -> int:
        """How many attempts have failed, since it was last retried by a user."""
        return len(self.failed) - self.forgiven

    @property
    def interruptions(self) -> int:
        """How many attempts were interrupted, since it was last retried by a user."""
        return len(self.interrupted) - self.excused

    @property
    def given_up(self) -> bool:
        """Whether it has failed by interruptions alone: that says nothing of its parameters."""
        last = self.executions[-1].end if self.executions else None
        return self.state is TrialState.FAILED and last is End.INTERRUPTED

    @property
    def queued(self) -> bool:
        """Whether no attempt of it was ever begun: a fork that waits for a run, say."""
        return not self.attempts and not self.state.finished

    @property
    def closed(self) -> bool:
        """Whether it is over for good: no user may have it retried."""
        stopped = self.stopped and self.state is TrialState.PRUNED
        return self.state.finished and not (stopped or self.state is TrialState.FAILED)

    @property
    def searched(self) -> bool:
        """Whether its parameters lie in the space, so that the sampler learns from it."""
        return self.asked.inside

    @property
    def imported(self) -> str | None:
        """Where the trial is from, if it was made with another program."""
        return None if isinstance(self.asked, TrialForked) else self.asked.imported

    @property
    def feasible(self) -> bool:
        """Whether it keeps every constraint, as far as is known."""
        return all(violation <= 0 for violation in self.violations)

    @property
    def step(self) -> int | None:
        """The last step that was reported."""
        return max(self.reports, default=None)

    def best_report(self, metric: str, maximize: bool) -> tuple[int, float] | None:
        """The step and the value of the best report of ``metric``, of equals the first.

        Neither NaN nor an infinity that no value could beat is the best.
        """
        sign = -1.0 if maximize else 1.0
        values = (
            (step, value)
            for step, report in self.reports.items()
            if (value := report.metrics.get(metric)) is not None and sign * value > -math.inf
        )
        return min(values, key=lambda each: (sign * each[1], each[0]), default=None)

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
    def shown(self) -> Checkpoint | None:
        """The checkpoint that stands beside its value: the one that was recorded with the result
        where that is kept, else the `newest`."""
        known = self.checkpoints.get(self.checkpoint or "")
        kept = known is not None and known.retired is None and known.damaged is None
        return known if kept else self.newest

    def measured_with(self, metric: str, value: float | None) -> Checkpoint | None:
        """The newest kept checkpoint of which ``metric`` was measured to be ``value``; else the
        `newest`."""
        states = (each for each in reversed(self.kept) if each.content != "light")
        measured = (each for each in states if value is not None and each.value(metric) == value)
        return next(measured, self.newest)

    @property
    def held_at(self) -> int | None:
        """The rung at which it is paused, or is to be."""
        rung = max(self.rungs, default=None)
        return None if rung == self.promoted else rung

    @property
    def pruned_at(self) -> int | None:
        """The step at which the pruner decided to end the trial."""
        if not self.prunings:  # asked at each of maybe a million reports
            return None
        return next(step for step, prune in self.verdicts.items() if prune)

    def judge(self, step: int, *, prune: bool) -> None:
        """Note a verdict on a report."""
        self.prunings += prune - self.verdicts.get(step, False)
        self.verdicts[step] = prune


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
    heard: float = 0.0
    """When the newest session was last heard of; the next one may have changed the spec since."""
    spec: dict[str, Any] = field(default_factory=dict)
    project: str = ""
    created: float = 0.0
    sessions: int = 0
    session: DriverStarted | None = None
    rules: int = 1
    """How the newest session compares trials, as in `sweep.search.rules`."""
    stopped: DriverStopped | None = None
    sources: dict[str, str] = field(default_factory=dict)
    """Digests of the functions that suggestions follow from, as last recorded."""
    active_s: float = 0.0
    session_started: float = 0.0
    trials: dict[int, Trial] = field(default_factory=dict)
    asked: int = 0
    """Trials that the sampler proposed: all but forks."""
    exhausted: int | None = None
    """How many were asked when every combination of the space was tried, if that is so."""
    histories: list[HistoryAdded] = field(default_factory=list)
    """What the sampler was told of other studies."""
    running: dict[int, Trial] = field(default_factory=dict)
    """Unfinished trials that are not paused."""
    paused: dict[int, Trial] = field(default_factory=dict)
    idling: Idling = field(default_factory=Idling)
    """How much slot time was lost by waiting (`deterministic: true`)."""
    turns: int = 0
    """How often something was let run: a new trial, or a paused one once more."""
    untold: set[int] = field(default_factory=set)
    """Trials with a result that the sampler was not told yet."""
    setbacks: dict[int, int] = field(default_factory=dict)
    """How often each trial was interrupted since anything else happened in this session."""
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

    @property
    def settled(self) -> int:
        """All turns below this one are over: their trials are finished, or paused again."""
        return min((trial.turn for trial in self.running.values()), default=self.turns)

    def due(self, *, in_order: bool) -> list[int]:
        """Trials whose results are to be told now: ``in_order`` of turns, none before one that is
        not over."""
        if not in_order:
            return sorted(self.untold)
        settled = self.settled
        turns = ((self.trials[number].turn, number) for number in self.untold)
        return [number for turn, number in sorted(turns) if turn < settled]

    @property
    def forks(self) -> int:
        """Trials that were forked off others; they do not count towards ``trials``."""
        return len(self.trials) - self.asked

    def keeps(self, checkpoint: str | None) -> bool:
        """Whether there is a checkpoint of this id, and it is kept."""
        if checkpoint is None:
            return False
        known = self.trials[int(checkpoint.partition("@")[0])].checkpoints.get(checkpoint)
        return known is not None and known.retired is None and known.damaged is None

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
    def leading(self) -> tuple[str, bool]:
        """The metric by which checkpoints are compared, of several the first; whether more of it is
        better."""
        metric = self.spec["metric"][0] if self.several else self.spec["metric"]
        return metric["name"], metric["goal"] == "maximize"

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
