"""What to keep: a pure function from records to the ids of those that may go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sweep.checkpoint.record import CheckpointRecord


@dataclass(frozen=True, slots=True)
class Keep:
    """How many checkpoints of each trial stay: the ``last`` ones and the ``best`` ones."""

    last: int = 1
    best: int = 1

    def __post_init__(self) -> None:
        for name in ("last", "best"):
            if getattr(self, name) < 0:
                raise ValueError(f"keep.{name} must be 0 or more, not {getattr(self, name)}")


def retired(
    records: Sequence[CheckpointRecord], keep: Keep, metric: str, maximize: bool, finished: bool
) -> list[str]:
    """Ids of the checkpoints of one trial that ``keep`` does not hold, in the order given.

    Args:
        records: all that exist, in the order they were saved.
        metric: the metric that makes one the best; a missing or NaN value never does. Of equal
            ones the newer counts as better, so that the best is often the last.
        maximize: whether a higher value is better.
        finished: whether the trial is over. The newest one of an unfinished trial always stays.
    """
    last = max(keep.last, 0 if finished else 1)
    kept = {record.id for record in records[max(0, len(records) - last) :]} if last else set()
    ranked = sorted(
        (
            (-value if maximize else value, -position)
            for position, record in enumerate(records)
            if not math.isnan(value := record.metrics.get(metric, math.nan))
        )
    )
    kept |= {records[-position].id for _, position in ranked[: keep.best]}
    return [record.id for record in records if record.id not in kept]
