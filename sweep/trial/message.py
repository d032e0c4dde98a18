"""What the driver and an attempt of a trial say to each other: plain, frozen, picklable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from sweep.checkpoint.policy import Policy, Scope
from sweep.checkpoint.record import CheckpointRecord
from sweep.trial.outcome import Outcome
from sweep.trial.wear import Endurance


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Everything a worker needs to run one attempt of one trial."""

    study: str
    """Name of the study."""
    trial: int
    """Number of the trial, from 0."""
    attempt: int
    """Number of this attempt of the trial, from 1."""
    session: int
    """Number of the driver that sends this; keeps file names of two drivers apart."""
    params: Mapping[str, Any]
    """The hyperparameters, in declared order, inactive ones absent."""
    seed: int
    """Seed of the study; the trial's own is derived from it and the trial's number."""
    program: str
    """The trial function, ``package.module:function``."""
    project: str
    """Directory that the program is imported from; put first on ``sys.path``."""
    root: str
    """Absolute directory of the study (see `sweep.paths.StudyPaths`)."""
    policy: Policy = field(default_factory=Policy)
    """When to save."""
    scope: Scope = field(default_factory=Scope)
    """What to save beside that, and how much of the trial."""
    restore: tuple[str, ...] = ()
    """Manifests to go on from, best first, relative to ``checkpoints/manifests``."""
    fork: bool = False
    """Whether the trial began as a fork, so that it cannot start from scratch."""
    metric: str = ""
    """Name of the study's metric; what a number returned by the function is called."""
    mirror: str | None = None
    """URI of the study's own folder in its mirror, from which damaged files are repaired."""
    level: int | None = None
    """Of zstd, with which the files of checkpoints are packed; None: they are not."""
    threads: int = 1
    """Threads that torch and BLAS may use, at least 1."""
    verdicts: bool = False
    """Whether each report that holds ``metric`` waits for the driver's verdict."""
    log_bytes: int = 10_000_000
    """The most that is kept of what the trial prints."""
    endurance: Endurance = field(default_factory=Endurance)
    """What the worker may come to before it is replaced."""
    held: bool = False
    """Whether the trial is still to be paused where a checkpoint says so."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What the attempt goes on from: its first message, sent where ``restore`` had names."""

    checkpoint: str | None
    """Id of the checkpoint, or None where none could be used: the trial starts from scratch."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Damaged manifests that were passed over, each with what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """Metrics of the trial at a step."""

    step: int
    metrics: dict[str, float]
    last: bool = False
    """Whether it is of the last epoch, so that the trial ends by itself after it."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A checkpoint is durable: its blobs, its manifest and their names are on the disk."""

    record: CheckpointRecord


@dataclass(frozen=True, kw_only=True)
class Forked:
    """A trial is to be added that goes on from a checkpoint of this one, with other parameters.

    May be said again after a resume: the same changes to the same checkpoint are the same fork.
    """

    checkpoint: str
    """Id of the checkpoint. It is durable, and was sent as `Saved`."""
    changes: dict[str, Any]
    """The parameters that differ."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The attempt is over. The last message of every attempt, sent exactly once."""

    outcome: Outcome
    returned: dict[str, float] | None = None
    """Final metrics that the function returned."""
    error: str | None = None
    """Traceback text, from the user's frame down, where the outcome is FAILED."""
    reason: str | None = None
    """One line that says why, where the outcome is FAILED or UNSAVED."""
    again: bool = True
    """Where the outcome is FAILED: whether another attempt may fare better."""
    disk_full: bool = False
    """Where the outcome is UNSAVED: whether it is for want of space."""
    worn: bool = False
    """Whether the worker is to be replaced before the next attempt."""


Message = Restored | Reported | Saved | Forked | Ended


class Verdict(StrEnum):
    """What the driver answers to a report."""

    CONTINUE = "continue"
    PRUNE = "prune"
    PAUSE = "pause"
    STOP = "stop"
    YIELD = "yield"
    """As STOP, in answer to a report, but not before that is saved: others are to have the slot."""


class Link(Protocol):
    """Port from an attempt to the driver, as small as it can be.

    `send` is called from the training thread and from the thread that saves, so it must be safe
    to call from several threads; messages of one thread arrive in the order they were sent.
    """

    def send(self, message: Message) -> None:
        """Hand ``message`` to the driver without waiting for an answer."""

    def verdict(self) -> Verdict:
        """Block until the driver has judged the last report. Called only where it was promised."""

    @property
    def stopping(self) -> bool:
        """True once the driver wants the trial to save and leave at its next safe point."""

    def when_stopping(self, call: Callable[[], None]) -> None:
        """Call ``call`` as soon as `stopping` is true: now, or from another thread or a signal
        handler; perhaps more than once. For a trial that waits for something else than the driver.
        """
