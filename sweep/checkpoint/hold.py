"""What each rule of retention holds of one trial: functions from its records to ids.

Records are given in the order in which they were saved. Records of equal content at one position of
the trial are one state: its last epoch and its end, say. Rules that count, count states. Of a state
the newest record stands for it; the others stay as long as there are fewer states than asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeGuard

from sweep.checkpoint.record import CheckpointRecord, Content, Kind


def newest_full(records: Iterable[CheckpointRecord]) -> set[str]:
    """The one that a trial goes on from, if there is one."""
    full = [record.id for record in records if record.content is Content.FULL]
    return set(full[-1:])


def last(records: Sequence[CheckpointRecord], count: int) -> set[str]:
    """The ``count`` newest of each content: one that is not full cannot stand for one that is."""
    return {
        name
        for content in Content
        for name in _first([r for r in reversed(records) if r.content is content], count)
    }


def finals(records: Iterable[CheckpointRecord]) -> set[str]:
    """Those of the end of the trial."""
    return {record.id for record in records if record.kind is Kind.FINAL}


def best(
    records: Sequence[CheckpointRecord],
    count: int,
    metric: str,
    maximize: bool,
    best_step: int | None = None,
) -> set[str]:
    """The ``count`` with the best ``metric``; of equals the newer, so that the best is often the
    last.

    Only a checkpoint that was taken at the report counts: the state that was measured. Where the
    trial has none, it is the nearest before its best report, which was made at ``best_step``. Light
    ones hold no state and do not count, nor does a value that is missing or NaN.
    """
    if not count:
        return set()
    ranked = by_value(records, metric, maximize)
    if ranked:
        return set(_first(ranked, count))
    found = nearest(records, best_step)
    return set() if found is None else {found.id}


def by_value(
    records: Sequence[CheckpointRecord], metric: str, maximize: bool
) -> list[CheckpointRecord]:
    """Those that hold a state of which ``metric`` was measured, the best first, then the newer."""
    measured = [
        (loss, -place)
        for place, record in enumerate(records)
        if record.content is not Content.LIGHT
        and (value := record.value(metric)) is not None
        and (loss := -value if maximize else value) > -math.inf  # else none could beat it
    ]
    return [records[-place] for _, place in sorted(measured)]


def nearest(records: Sequence[CheckpointRecord], best_step: int | None) -> CheckpointRecord | None:
    """The newest with a state from before the report at ``best_step``; without any, the first."""
    if best_step is None:
        return None
    states = [record for record in records if record.content is not Content.LIGHT]
    before = [record for record in states if record.step is None or record.step < best_step]
    return before[-1] if before else next(iter(states), None)


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


def _first(records: Sequence[CheckpointRecord], count: int) -> list[str]:
    """Ids of ``count`` of the ``records``, which are in the order of their rank: one of each state,
    then the others."""
    states: dict[tuple[Content, int, int], CheckpointRecord] = {}
    again = []
    for record in records:
        state = (record.content, record.epoch, record.global_step)
        if states.setdefault(state, record) is not record:
            again.append(record)
    return [record.id for record in (*states.values(), *again)[:count]]
