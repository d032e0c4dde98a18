"""What each rule of retention holds of one trial: functions from its records to ids.

Records are given in the order in which they were saved.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import TypeGuard

from sweep.checkpoint.record import CheckpointRecord, Content, Kind


def newest_full(records: Iterable[CheckpointRecord]) -> set[str]:
    """The one that a trial goes on from, if there is one."""
    full = [record.id for record in records if record.content is Content.FULL]
    return set(full[-1:])


def last(records: Sequence[CheckpointRecord], count: int) -> set[str]:
    """The newest of each content: one that is not full cannot stand for one that is.

    Positions count, so the end of a trial does not stand beside the same state of its last epoch.
    """
    newest: dict[Content, dict[tuple[int, int], str]] = {kind: {} for kind in Content}
    for record in records:
        positions, where = newest[record.content], (record.epoch, record.global_step)
        positions.pop(where, None)
        positions[where] = record.id
    return {name for each in newest.values() for name in list(each.values())[-count:] if count}


def finals(records: Iterable[CheckpointRecord]) -> set[str]:
    """Those of the end of the trial."""
    return {record.id for record in records if record.kind is Kind.FINAL}


def best(records: Sequence[CheckpointRecord], count: int, metric: str, maximize: bool) -> set[str]:
    """Those with the best ``metric``; of equal ones the newer, so that the best is often the last.

    Light ones hold no state and do not count, nor does a value that is missing or NaN.
    """
    ranked = heapq.nsmallest(
        count,
        (
            (-value if maximize else value, -position)
            for position, record in enumerate(records)
            if record.content is not Content.LIGHT
            and counts(value := record.metrics.get(metric, math.nan))
        ),
    )
    return {records[-position].id for _, position in ranked}


def every_nth(records: Iterable[CheckpointRecord], nth: int | None) -> set[str]:
    """The first one at every ``nth`` epoch.

    Epochs and not ordinals count, so that a resume, which saves other ones, changes nothing.
    """
    if nth is None:
        return set()
    first: dict[int, tuple[bool, int, str]] = {}
    for record in records:
        if record.epoch > 0 and record.epoch % nth == 0:
            candidate = (record.content is not Content.FULL, record.global_step, record.id)
            first[record.epoch] = min(first.get(record.epoch, candidate), candidate)
    return {name for _, _, name in first.values()}


def counts(value: float | None) -> TypeGuard[float]:
    """Whether a value can be compared with others."""
    return value is not None and not math.isnan(value)
