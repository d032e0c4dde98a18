"""When to save: pure functions of what happened since the last save, and of what saving costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sweep.checkpoint.record import Content

FLOOR_S = 1.0
"""The shortest tuned interval, in seconds, however little a save costs."""

WEIGHT = 0.5
"""Share of the newest cost in the smoothed one: after three saves a change is nearly all of it."""

GROWTH, SHRINK = 4.0, 0.5
"""How far one measured save may move the tuned interval, as factors of what it was."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Save every so many epochs, steps or seconds; of several, whichever comes first.

    With all of them None only the saves that never depend on a policy are made: when the driver
    stops or prunes the trial, and at its end.
    """

    epochs: int | None = None
    steps: int | None = None
    seconds: float | None = None
    overhead: float | None = None
    """The most of the time, as a share of 1, that these saves may take: none comes before it
    allows it (see `tuned`). Alone, it makes them as often as it allows."""

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"checkpoint every {name} must be above 0, not {value}")
        if self.overhead is not None and not 0 < self.overhead < 1:
            raise ValueError(f"checkpoint overhead must be between 0 and 1, not {self.overhead}")


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """Save where ``metric`` was better than ever before."""

    metric: str
    maximize: bool = False


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What is saved beside the intervals of a `Policy`, and how much of a trial."""

    improvement: Improvement | None = None
    best: Improvement | None = None
    """What makes a checkpoint the best of its trial. Where a policy saves between reports, it is
    saved at one that was better than any that was saved, once between two saves of the policy."""
    components: tuple[str, ...] = ()
    """Tracked objects that a save on improvement holds; of none named it is full."""
    exclude: tuple[str, ...] = ()
    """Patterns (fnmatch) of paths that no save holds: a restore leaves what the objects have."""
    final: Content | None = Content.FULL
    """What is saved at the end: full, light, or (None) nothing."""
    replace: bool = False
    """Whether a periodic save that comes due gives up the one in flight, or waits for its end."""
    patient: bool = False
    """Whether every save that comes due waits for the one in flight and is made at once, so that
    which checkpoints there are does not depend on how fast the disk is."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What happened since the last save (or the start, or the restore)."""

    epochs: int = 0
    """Completed epochs; outside ``epochs()`` completed reports."""
    steps: int = 0
    """Completed calls of ``trial.step()``."""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What saving costs, and the interval that follows; both in seconds."""

    cost: float
    interval: float


def due(policy: Policy, since: Progress, interval: float = FLOOR_S) -> bool:
    """True where ``policy`` asks for a save after ``since``.

    ``interval`` is the tuned one, in seconds; it counts only where the policy has an overhead.
    """
    if policy.overhead is not None and since.seconds < interval:
        return False
    reached = (
        _reached(policy.epochs, since.epochs)
        or _reached(policy.steps, since.steps)
        or _reached(policy.seconds, since.seconds)
    )
    return reached or (policy.overhead is not None and not _timed(policy))


def tuned(before: Tuning | None, cost: float, overhead: float) -> Tuning:
    """The interval after one more save that cost ``cost`` seconds of training.

    The interval at which saving takes the share ``overhead``, as in CheckFreq (Mohan, Phanishayee,
    Chidambaram: CheckFreq: Frequent, Fine-Grained DNN Checkpointing, FAST 2021, section 4.3). The
    cost is smoothed, and one save moves the interval by a factor of `SHRINK` to `GROWTH`, so that
    a single slow one does no harm and a changed load is followed within a few. Never below
    `FLOOR_S`, since a save that costs nothing would be made at every step for ever.
    """
    if before is None:
        return Tuning(cost=cost, interval=max(FLOOR_S, cost / overhead))
    smoothed = WEIGHT * cost + (1 - WEIGHT) * before.cost
    low, high = SHRINK * before.interval, GROWTH * before.interval
    return Tuning(cost=smoothed, interval=max(FLOOR_S, min(high, max(low, smoothed / overhead))))


def improves(value: float, best: float | None, *, maximize: bool) -> bool:
    """True where ``value`` is better than ``best``, or the first.

    NaN never is, nor an infinity that no value could beat: it would be the best for ever.
    """
    if math.isnan(value) or value == (math.inf if maximize else -math.inf):
        return False
    return best is None or (value > best if maximize else value < best)


def _timed(policy: Policy) -> bool:
    return any(each is not None for each in (policy.epochs, policy.steps, policy.seconds))


def _reached(every: float | None, since: float) -> bool:
    return every is not None and since >= every
