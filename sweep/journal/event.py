"""The typed, versioned events of which a study consists.

An event says that something happened and holds all that is needed to know it again; it is never
changed afterwards. A field holds only what JSON can (see `sweep.journal.row`): numbers (NaN and
infinities too), strings, booleans, None, lists and mappings with string keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar


class TrialState(StrEnum):
    """States of a trial; `TRANSITIONS` says which may follow which."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAILED = "FAILED"

    @property
    def finished(self) -> bool:
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)


class Cause(StrEnum):
    """What failed a trial or an attempt."""

    EXCEPTION = "exception"
    """The user's code raised."""
    NAN = "nan"
    """An objective or a constraint is no number to compare: NaN, or an infinity that would win."""
    UNREPORTED = "unreported"
    """The trial ended without an objective or a constraint."""
    MACHINERY = "machinery"
    """What runs trials: the worker died, say, or the checkpoint did not fit. Never told."""


TRANSITIONS: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.RUNNING: frozenset(TrialState) - {TrialState.RUNNING},
    TrialState.PAUSED: frozenset({TrialState.RUNNING, TrialState.PRUNED, TrialState.FAILED}),
    TrialState.COMPLETE: frozenset(),
    TrialState.PRUNED: frozenset({TrialState.RUNNING}),  # only where a user had stopped it
    TrialState.FAILED: frozenset({TrialState.RUNNING}),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Base of all events. ``version`` grows when the fields of a type change.

    A field that a version adds has a default, which stands for it in events of the older ones.
    """

    type: ClassVar[str]
    version: ClassVar[int] = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyCreated(Event):
    """The study began. ``spec`` is the accepted spec, ``project`` where its program lies."""

    type: ClassVar[str] = "study_created"
    version: ClassVar[int] = 2
    spec: dict[str, Any]
    project: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecChanged(Event):
    """The study goes on under another spec; ``changes`` says in words what differs.

    ``left_out`` holds [number, reason] for each trial that does not fit the space, so that the
    sampler does not know of it from now on; a trial of another study is named ``source/number``.
    (It came with version 2.)
    """

    type: ClassVar[str] = "spec_changed"
    version: ClassVar[int] = 2
    spec: dict[str, Any]
    project: str
    changes: list[str]
    left_out: list[list[Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryAdded(Event):
    """Finished trials of another study, which the sampler learns from; they are none of this one.

    ``source`` is as the spec names it. Each of ``trials`` has ``number``, ``state``, ``params`` as
    they were there, ``latents`` as in `TrialAsked` in this study's space, ``values``,
    ``violations`` by constraint of this study, and ``report`` ([step, value], the last one).
    ``left_out`` holds [number, reason] for those that do not fit.
    """

    type: ClassVar[str] = "history_added"
    source: str
    trials: list[dict[str, Any]]
    left_out: list[list[Any]]


PREAMBLE = frozenset({SpecChanged.type, HistoryAdded.type})
"""What a driver journals before the session that wants it: no sign of life of the one before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DriverStarted(Event):
    """A driver took the study over. ``session`` counts the drivers from 1.

    ``sources`` has the SHA-256 of the file of each function of the user's that suggestions follow
    from, by ``space module:function`` (empty in events of version 1).
    ``slots`` is how many trials it can run at once; None where it shares them with other studies
    (and in events before version 3).
    ``rules`` says how trials are compared in this session, as in `sweep.search.rules`; 1 in events
    before version 4.
    """

    type: ClassVar[str] = "driver_started"
    version: ClassVar[int] = 4
    session: int
    host: str
    pid: int
    versions: dict[str, str]
    sources: dict[str, str] = field(default_factory=dict)
    slots: int | None = None
    rules: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class DriverStopped(Event):
    """The driver ended in order. A killed one leaves no such event."""

    type: ClassVar[str] = "driver_stopped"
    session: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialAsked(Event):
    """The sampler proposed a trial.

    ``params`` are the values that the user sees, in the order in which they were asked;
    ``latents`` maps a name to [value, distribution] as the sampler knows them, and ``wrote`` holds
    what it wrote while asking (``{"trial": ..., "study": ...}`` attributes; ``trial_user`` and
    ``study_user`` those that Optuna calls a user's own). ``told`` is the number of results it had
    been told, ``running`` the trials that it knew to run (not those that were paused). ``bracket``
    is the one of Hyperband's to which the trial belongs.

    ``enqueued`` is the place of what was to be tried first in the spec's ``enqueue``, ``again`` how
    many proposals were dropped before it since they had been tried, and ``reuses`` the trial whose
    result is taken over, so that this one is not executed.

    Where the suggestion was prepared while trials ran, ``saw`` is the newest event that it knew;
    else (None, and in events before version 3) that is the one before it.

    Of a trial that nobody asked for here, since it was made with another program, ``imported`` says
    where it is from; ``latents`` follow from ``params`` then. Where ``inside`` is False, these do
    not fit the space: the sampler is not told of the trial. (Both came with version 4.)
    """

    type: ClassVar[str] = "trial_asked"
    version: ClassVar[int] = 4
    trial: int
    params: dict[str, Any]
    latents: dict[str, list[Any]]
    seed: int
    wrote: dict[str, dict[str, Any]]
    told: int
    running: list[int]
    bracket: int | None = None
    enqueued: int | None = None
    again: int = 0
    reuses: int | None = None
    saw: int | None = None
    imported: str | None = None
    inside: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceExhausted(Event):
    """Every combination of a finite space was tried, so nothing is asked any more.

    ``tried`` is how many trials were asked by then.
    """

    type: ClassVar[str] = "space_exhausted"
    tried: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialForked(Event):
    """A trial that nobody suggested: it goes on from a checkpoint of ``parent``.

    ``source`` is that checkpoint's id, ``checkpoint`` and ``record`` the trial's own first one,
    which shares its files, at ``step``. ``latents`` are as in `TrialAsked`. Where ``inside`` is
    False, ``params`` lie outside of the space: the sampler is not told of the trial. ``exploits``
    is the member of a population whose place the trial takes; None (as in events of version 1)
    where a user wanted the fork.
    """

    type: ClassVar[str] = "trial_forked"
    version: ClassVar[int] = 2
    trial: int
    parent: int
    source: str
    step: int | None
    checkpoint: str
    record: dict[str, Any]
    params: dict[str, Any]
    latents: dict[str, list[Any]]
    inside: bool
    exploits: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialDispatched(Event):
    """An attempt was handed to a worker; ``checkpoint`` is where it is to go on from."""

    type: ClassVar[str] = "trial_dispatched"
    trial: int
    attempt: int
    session: int
    checkpoint: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRestored(Event):
    """Where a later attempt did go on from (None: from the start).

    Reports after ``step`` (the last one that the checkpoint contains) are taken back, since they
    will be made again. ``lost`` is how many calls of ``trial.step()`` the attempt before had
    completed beyond the checkpoint; None where that is not known (and in events of version 1).
    ``skipped`` holds [checkpoint, reason] for each one that was damaged.
    """

    type: ClassVar[str] = "trial_restored"
    version: ClassVar[int] = 2
    trial: int
    attempt: int
    step: int | None
    checkpoint: str | None
    skipped: list[list[str]]
    lost: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialReported(Event):
    """Metrics of a trial at a step; ``value`` is the objective's, where it is among them.

    ``prune`` is the pruner's verdict (None where none was asked): recorded, never computed again.
    ``wrote`` holds the trial attributes that the pruner wrote while judging. ``rung`` is the one
    that the trial has reached with this report, by its steps: there it is to be paused, unless it
    is promoted at once. ``last`` says that the trial ends by itself after this step, where it
    knows. (Events of version 1 have neither.)
    """

    type: ClassVar[str] = "trial_reported"
    version: ClassVar[int] = 2
    trial: int
    attempt: int
    step: int
    value: float | None
    metrics: dict[str, float]
    prune: bool | None
    wrote: dict[str, Any] = field(default_factory=dict)
    last: bool = False
    rung: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialJudged(Event):
    """The verdict on a report that was made before: whether the trial ends after ``step``.

    So it is where a verdict waits for the reports of other trials.
    """

    type: ClassVar[str] = "trial_judged"
    trial: int
    step: int
    prune: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialPaused(Event):
    """A trial has left its slot at a rung, saved in ``checkpoint`` (None: nothing could be).

    ``rung`` counts steps; ``step`` is that of the report with which it was reached, and ``value``
    the objective's there.
    """

    type: ClassVar[str] = "trial_paused"
    trial: int
    attempt: int
    step: int
    value: float | None
    checkpoint: str | None
    rung: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialPromoted(Event):
    """A trial may go on beyond a rung: one that was paused there, or has just reached it."""

    type: ClassVar[str] = "trial_promoted"
    trial: int
    rung: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointSaved(Event):
    """A checkpoint is whole and durable. ``record`` is the checkpoint engine's description.

    Since version 2 the record names the metrics that were ``measured`` of this very state.
    """

    type: ClassVar[str] = "checkpoint_saved"
    version: ClassVar[int] = 2
    trial: int
    attempt: int
    step: int | None
    checkpoint: str
    record: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointRetired(Event):
    """A checkpoint is no longer kept; its files go after this event is durable.

    ``reason`` is the rule of retention that let it go (empty in events of version 1).
    """

    type: ClassVar[str] = "checkpoint_retired"
    version: ClassVar[int] = 2
    trial: int
    checkpoint: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointDamaged(Event):
    """A checkpoint was found to be damaged and could not be repaired; ``reason`` says where."""

    type: ClassVar[str] = "checkpoint_damaged"
    trial: int
    checkpoint: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointMigrated(Event):
    """A checkpoint was rewritten in the newest format; ``record`` takes the older one's place."""

    type: ClassVar[str] = "checkpoint_migrated"
    trial: int
    checkpoint: str
    record: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptStopped(Event):
    """An attempt saved and left because the driver asked it to. The trial can go on."""

    type: ClassVar[str] = "attempt_stopped"
    trial: int
    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptFailed(Event):
    """An attempt raised; counted against ``retries``.

    An older sweep recorded the death of a worker so, too. ``cause`` is None in events of version 1.
    """

    type: ClassVar[str] = "attempt_failed"
    version: ClassVar[int] = 2
    trial: int
    attempt: int
    reason: str
    error: str
    cause: Cause | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptInterrupted(Event):
    """What an attempt ran on has died: its worker, node, Ray's server, the network.

    The trial is not at fault: that counts against ``interruptions``, not against ``retries``.
    ``reason`` is what is known of it in a line, ``error`` all that Ray says.
    """

    type: ClassVar[str] = "attempt_interrupted"
    trial: int
    attempt: int
    reason: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialFinished(Event):
    """The trial is over. ``reason`` is why it was not completed, ``checkpoint`` the newest of which
    ``value`` was measured, or else its last one (older versions: always that).

    Of several objectives ``values`` has all in the order of the spec, and ``value`` is the first;
    of one it is None. ``violations`` says of each constraint how much it is exceeded (0 or less: it
    is kept); it is empty where there is none, or where a pruned trial never came to measure it.

    ``cause`` says what failed it, and ``worst`` that the sampler takes it for worse than all it
    knows (`on_failure`, `on_nan`). Events before version 3 have neither: samplers did not know of
    failed trials.
    """

    type: ClassVar[str] = "trial_finished"
    version: ClassVar[int] = 3
    trial: int
    attempt: int
    state: TrialState
    value: float | None
    checkpoint: str | None
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str | None = None
    error: str | None = None
    values: list[float] | None = None
    violations: list[float] = field(default_factory=list)
    cause: Cause | None = None
    worst: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRetried(Event):
    """A user wants a trial to run again that had failed, or that a user had stopped.

    It resumes from its newest checkpoint, and may fail ``retries`` times anew. With
    ``from_scratch`` its checkpoints were retired before (but the one that a fork began from), and
    no verdict on it counts any more. What it reports at its end replaces what was told of it.
    """

    type: ClassVar[str] = "trial_retried"
    trial: int
    from_scratch: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStopped(Event):
    """A user wants an unfinished trial to end where it is; it is recorded as pruned then."""

    type: ClassVar[str] = "trial_stopped"
    trial: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTold(Event):
    """One Bayesian iteration: a finished trial was told to the sampler.

    The incumbent after it is ``best_trial`` with ``best_value`` and its ``checkpoint``. Several
    objectives have no incumbent, but a Pareto front: ``values`` are those of the trial, ``entered``
    says whether it is on the front now, and ``left`` holds the trials that it displaced from there.
    A trial that has failed is told as the worst: it has no value.
    """

    type: ClassVar[str] = "trial_told"
    version: ClassVar[int] = 2
    trial: int
    value: float | None
    checkpoint: str | None
    iteration: int
    best_trial: int | None
    best_value: float | None
    wrote: dict[str, dict[str, Any]]
    values: list[float] | None = None
    entered: bool = False
    left: list[int] = field(default_factory=list)


EVENTS: Mapping[str, type[Event]] = {
    kind.type: kind
    for kind in (
        StudyCreated,
        SpecChanged,
        HistoryAdded,
        DriverStarted,
        DriverStopped,
        TrialAsked,
        SpaceExhausted,
        TrialForked,
        TrialDispatched,
        TrialRestored,
        TrialReported,
        TrialJudged,
        TrialPaused,
        TrialPromoted,
        CheckpointSaved,
        CheckpointRetired,
        CheckpointDamaged,
        CheckpointMigrated,
        AttemptStopped,
        AttemptFailed,
        AttemptInterrupted,
        TrialFinished,
        TrialRetried,
        TrialStopped,
        TrialTold,
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An event in its place: ``seq`` counts from 0 without gaps, ``time`` is in unix seconds."""

    seq: int
    time: float
    event: Event
