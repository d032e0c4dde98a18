"""What to keep: pure functions from the records of a study to those that may go, and why.

The rules, in the order in which they are asked; the first that lets a checkpoint go gives the
reason. What is pinned, and the newest full checkpoint of an unfinished trial, no rule ever takes,
but for one: `bytes` takes that of a paused trial, once nothing else is left to take.

1. Of a trial: `last`, `best`, `every_nth` and `final` each hold some of its checkpoints, and what
   none of them holds goes. Of a failed or pruned trial `unsuccessful` holds instead.
2. `incumbents`: a completed trial that is not among the best of the study keeps nothing else than
   what `every_nth` holds.
3. `age`: what is older goes, except the best checkpoint of each of the best trials and what
   `every_nth` holds.
4. `bytes`: while the study takes more, the least valuable goes, see `Pressure`. The best checkpoint
   of each of the best trials stays.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from sweep.checkpoint import hold
from sweep.checkpoint.keep import Fate, Keep, Reason, Retirement, Standing, Unsuccessful
from sweep.checkpoint.pressure import Pressure
from sweep.checkpoint.record import CheckpointRecord

__all__ = [
    "Fate",
    "Keep",
    "Reason",
    "Retirement",
    "Standing",
    "Unsuccessful",
    "incumbents",
    "plan",
    "plan_trial",
    "retired",
]


def plan(
    records: Iterable[CheckpointRecord],
    trials: Mapping[int, Standing],
    keep: Keep,
    *,
    metric: str,
    maximize: bool,
    pinned: Collection[str],
    now: float,
) -> list[Retirement]:
    """What may go of a study at the time ``now`` (unix seconds).

    Args:
        records: all checkpoints that exist and are whole; those of one trial in the order in which
            they were saved, the trials in any order.
        trials: every trial that has a record.
        metric: the metric that makes one the best; a missing or NaN value never does.
        maximize: whether a higher value is better.
        pinned: ids that stay, because somebody is reading them.
    """
    of_trial: dict[int, list[CheckpointRecord]] = defaultdict(list)
    for record in records:
        of_trial[record.trial].append(record)
    order = sorted(of_trial)
    top = incumbents(trials, keep.incumbents or 1, maximize)
    gone: dict[str, Reason] = {}
    for trial in order:
        gone |= _of_trial(
            of_trial[trial], trials[trial], keep, metric, maximize, pinned, trial in top
        )
    pressure = Pressure(trials, top, keep, metric=metric, maximize=maximize, pinned=pinned)
    if keep.age is not None:
        gone |= dict.fromkeys(pressure.too_old(_left(of_trial, gone), now - keep.age), Reason.AGE)
    if keep.bytes is not None:
        gone |= dict(pressure.too_much(_left(of_trial, gone), keep.bytes))
    return [
        Retirement(record.id, gone[record.id])
        for trial in order
        for record in of_trial[trial]
        if record.id in gone
    ]


def plan_trial(
    records: Sequence[CheckpointRecord],
    standing: Standing,
    keep: Keep,
    *,
    metric: str,
    maximize: bool,
    pinned: Collection[str],
    incumbent: bool = True,
) -> list[Retirement]:
    """Rules 1 and 2 of `plan` for the records of one trial; ``incumbent``: one of the best."""
    gone = _of_trial(records, standing, keep, metric, maximize, pinned, incumbent)
    return [Retirement(name, reason) for name, reason in gone.items()]


def retired(
    records: Sequence[CheckpointRecord], keep: Keep, metric: str, maximize: bool, finished: bool
) -> list[str]:
    """Ids of the checkpoints of a single trial that ``keep`` does not hold, in the order given.

    For whoever has no study: `last`, `best`, `every_nth` and `final` count, the others do not.
    """
    standing = Standing(Fate.COMPLETE if finished else Fate.UNFINISHED)
    gone = plan_trial(records, standing, keep, metric=metric, maximize=maximize, pinned=())
    return [retirement.id for retirement in gone]


def incumbents(trials: Mapping[int, Standing], count: int, maximize: bool) -> set[int]:
    """The ``count`` completed trials with the best values; of equals the first ones.

    All that are on a Pareto front are among them, however many, and come before the others.
    """
    front = {number for number, standing in trials.items() if standing.front}
    ranked = (
        (
            number not in front,
            not standing.feasible,
            -standing.value if maximize else standing.value,
            standing.order,
            number,
        )
        for number, standing in trials.items()
        if standing.fate is Fate.COMPLETE and hold.counts(standing.value)
    )
    return front | {number for *_, number in heapq.nsmallest(count, ranked)}


def _left(
    of_trial: Mapping[int, Sequence[CheckpointRecord]], gone: Collection[str]
) -> dict[int, list[CheckpointRecord]]:
    return {
        trial: [record for record in records if record.id not in gone]
        for trial, records in of_trial.items()
    }


def _of_trial(
    records: Sequence[CheckpointRecord],
    standing: Standing,
    keep: Keep,
    metric: str,
    maximize: bool,
    pinned: Collection[str],
    incumbent: bool,
) -> dict[str, Reason]:
    held, reason = set(pinned), Reason.SUPERSEDED
    match standing.fate:
        case Fate.UNFINISHED | Fate.PAUSED:
            held |= hold.last(records, keep.last) | hold.newest_full(records)
            held |= hold.best(records, keep.best, metric, maximize, standing.best_step)
            held |= hold.every_nth(records, keep.every_nth)
        case Fate.UNSUCCESSFUL:
            reason = Reason.UNSUCCESSFUL
            if keep.unsuccessful is Unsuccessful.LAST:
                held |= hold.newest_full(records)
        case Fate.COMPLETE if keep.incumbents is not None and not incumbent:
            reason = Reason.INCUMBENTS
            held |= hold.every_nth(records, keep.every_nth)
        case Fate.COMPLETE:
            last, finals = hold.last(records, keep.last), hold.finals(records)
            count = keep.best if keep.incumbents is None else max(keep.best, 1)
            held |= last | finals if keep.final else last - finals
            held |= hold.best(records, count, metric, maximize, standing.best_step)
            held |= hold.every_nth(records, keep.every_nth)
    return {record.id: reason for record in records if record.id not in held}
