"""The rules of retention that look at a whole study: `age` and `bytes`."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from sweep.checkpoint import hold
from sweep.checkpoint.budget import Ledger
from sweep.checkpoint.keep import Fate, Keep, Reason, Standing
from sweep.checkpoint.record import CheckpointRecord

Records = Mapping[int, Sequence[CheckpointRecord]]
"""What is left of each trial."""

_RESUMED = 6
"""The rank, at rung 0, of what a paused trial goes on from."""


class Pressure:
    """Takes what is old, or of little value where there is too much."""

    def __init__(
        self,
        trials: Mapping[int, Standing],
        top: Collection[int],
        keep: Keep,
        *,
        metric: str,
        maximize: bool,
        pinned: Collection[str],
    ) -> None:
        """``top`` are the best trials of the study; the others as in `retention.plan`."""
        self._trials, self._top, self._keep = trials, top, keep
        self._metric, self._maximize, self._pinned = metric, maximize, pinned

    def too_old(self, left: Records, before: float) -> Iterator[str]:
        """Ids of those that were saved ``before`` a time, and are not held."""
        for trial, records in left.items():
            held = self._protected(trial, records) | self._resumed(trial, records)
            if self._trials[trial].fate is not Fate.UNSUCCESSFUL:
                held |= hold.every_nth(records, self._keep.every_nth)
            for record in records:
                if record.saved < before and record.id not in held:
                    yield record.id

    def too_much(self, left: Records, budget: int) -> Iterator[tuple[str, Reason]]:
        """Those that must go, the least valuable first, until the rest fits ``budget``."""
        ledger = Ledger(record for records in left.values() for record in records)
        if ledger.total <= budget:
            return
        candidates = [entry for trial in left for entry in self._candidates(trial, left[trial])]
        for key, record in sorted(candidates, key=lambda candidate: candidate[0]):
            if ledger.total <= budget:
                return
            ledger.remove(record)
            yield record.id, Reason.PAUSED if key[0] >= _RESUMED else Reason.BYTES

    def _candidates(
        self, trial: int, records: Sequence[CheckpointRecord]
    ) -> Iterator[tuple[tuple[int, float, float, int, str], CheckpointRecord]]:
        held, prize = self._protected(trial, records), self._prize(trial, records)
        resumed = self._resumed(trial, records)
        for record in records:
            if record.id not in held:
                standing = self._trials[trial]
                rank, worth = self._value(standing, record.id in prize)
                if record.id in resumed:
                    rank, worth = _RESUMED + standing.rung, self._worth(standing.value)
                yield (rank, worth, record.saved, trial, record.id), record

    def _value(self, standing: Standing, is_prize: bool) -> tuple[int, float]:
        """What goes first for want of bytes sorts first; among equals the oldest goes first.

        1. of failed and pruned trials;
        2. of completed trials what is not their best;
        3. of unfinished trials what is not needed to go on;
        4. the best checkpoint of completed trials, that of the worst trial first (before it those
           of trials that exceed a constraint);
        5. what paused trials go on from (`_candidates`): those at the lowest rung first, and of
           one rung those with the worst value there.
        """
        match standing.fate:
            case Fate.UNSUCCESSFUL:
                return 1, 0.0
            case Fate.UNFINISHED | Fate.PAUSED:
                return 3, 0.0
            case Fate.COMPLETE:
                kept = 5 if standing.feasible else 4
                return (kept, self._worth(standing.value)) if is_prize else (2, 0.0)

    def _worth(self, value: float | None) -> float:
        if not hold.counts(value):
            return -math.inf
        return value if self._maximize else -value

    def _protected(self, trial: int, records: Sequence[CheckpointRecord]) -> set[str]:
        held = set(self._pinned)
        if self._trials[trial].fate is Fate.UNFINISHED:
            held |= hold.newest_full(records)
        if trial in self._top:
            held |= self._prize(trial, records)
        return held

    def _resumed(self, trial: int, records: Sequence[CheckpointRecord]) -> set[str]:
        """What a paused trial goes on from."""
        paused = self._trials[trial].fate is Fate.PAUSED
        return hold.newest_full(records) if paused else set()

    def _prize(self, trial: int, records: Sequence[CheckpointRecord]) -> set[str]:
        """The best checkpoint of a trial; without a metric its newest full one."""
        step = self._trials[trial].best_step
        best = hold.best(records, 1, self._metric, self._maximize, step)
        return best or hold.newest_full(records)
