"""The vocabulary of retention: what shall stay, what became of a trial, and why something went."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Unsuccessful(StrEnum):
    """What a failed or pruned trial keeps."""

    NONE = "none"
    LAST = "last"
    """Its newest full checkpoint, so that it can be promoted or forked."""


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays. Fields with None hold or take nothing."""

    last: int = 1
    """The newest states of a trial: so many full, so many partial and so many light ones."""
    best: int = 1
    """The states of a trial with the best metric: those that were measured, so a checkpoint that
    was taken later does not count; nor does a light one, which holds no state."""
    every_nth: int | None = None
    """For ever, the first one of a trial at every n-th epoch."""
    incumbents: int | None = None
    """Only so many completed trials, the best of the study, keep their checkpoints."""
    final: bool = True
    """Whether `last` may hold the checkpoint of the end of a completed trial."""
    unsuccessful: Unsuccessful = Unsuccessful.LAST
    bytes: int | None = None
    """What the checkpoints of the study may take in all."""
    age: float | None = None
    """Seconds since the save."""

    def __post_init__(self) -> None:
        for name in ("last", "best"):
            if getattr(self, name) < 0:
                raise ValueError(f"keep.{name} must be 0 or more, not {getattr(self, name)}")
        for name in ("every_nth", "incumbents", "bytes", "age"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"keep.{name} must be above 0, not {value}")


class Fate(StrEnum):
    """What became of a trial, as far as retention asks."""

    UNFINISHED = "unfinished"
    """It runs, or it can go on."""
    PAUSED = "paused"
    """It waits at a rung, and goes on if it is promoted."""
    COMPLETE = "complete"
    UNSUCCESSFUL = "unsuccessful"


@dataclass(frozen=True, slots=True)
class Standing:
    """A trial among the others; ``value`` is its objective where it is complete, or is paused at
    ``rung``.

    ``order`` is when its result was known, in any count that grows: of equals the first leads.
    One that is on the ``front`` of several objectives is always among the best; one that is not
    ``feasible`` comes after all that are. ``best_step`` is the step of its best report of the
    metric; it counts where no checkpoint was taken at any report.
    """

    fate: Fate
    value: float | None = None
    order: int = 0
    front: bool = False
    feasible: bool = True
    best_step: int | None = None
    rung: int = 0


class Reason(StrEnum):
    """Which rule let a checkpoint go."""

    SUPERSEDED = "superseded"
    UNSUCCESSFUL = "unsuccessful"
    INCUMBENTS = "incumbents"
    AGE = "age"
    BYTES = "bytes"
    PAUSED = "paused"
    """`bytes` took what a paused trial would go on from: a promotion begins it anew."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """A checkpoint that may go."""

    id: str
    reason: Reason
