"""Retention of a study while it runs: what may go now, without looking at everything each time."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from sweep.checkpoint.budget import Ledger
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.retention import (
    Fate,
    Keep,
    Reason,
    Retirement,
    Standing,
    Unsuccessful,
    incumbents,
    plan,
    plan_trial,
)
from sweep.driver.crowned import Crowned
from sweep.driver.leaders import Leaders
from sweep.journal.event import (
    CheckpointDamaged,
    CheckpointMigrated,
    CheckpointRetired,
    CheckpointSaved,
    Event,
    TrialForked,
    TrialReported,
    TrialRestored,
    TrialState,
)
from sweep.journal.state import StudyState, Trial
from sweep.quantity import bytes_text
from sweep.spec import Goal, StudySpec

_log = logging.getLogger("sweep")

AGE_INTERVAL_S = 60.0
"""The ages of a whole study are looked at no more often, and ten times within `age` itself."""

_TOLD_LATER = 2**62
"""A result that waits for its turn counts as told after all that were."""


class Keeper:
    """Follows the checkpoints of a study and says which may go.

    After a save only the trial concerned is looked at, unless the budget is exceeded or the ages
    are due. Times are unix seconds.
    """

    def __init__(self, spec: StudySpec, state: StudyState) -> None:
        """Begin with the checkpoints that ``state`` knows; `follow` takes it from there."""
        self._name = spec.name
        self._keep = keep_of(spec)
        self._metric = spec.objective.name
        self._maximize = spec.objective.goal is Goal.MAXIMIZE
        self._state = state
        self._trials: Mapping[int, Trial] = state.trials
        self._of_trial: dict[int, dict[str, CheckpointRecord]] = {}
        self._ledger = Ledger()
        self._leaders = Leaders(self._trials, self._metric, self._maximize)
        self._crowned = Crowned(state) if spec.checkpoint.keep.every_incumbent else None
        self._pins: dict[object, frozenset[str]] = {}
        self._ages_due = 0.0
        self._warned = self._warned_of_paused = False
        for trial in state.trials.values():
            for known in trial.kept:
                self._add(CheckpointRecord.from_json(known.record))
        self._top = self._incumbents()

    @property
    def bytes(self) -> int:
        """What the checkpoints take in all."""
        return self._ledger.total

    @property
    def budget_left(self) -> int | None:
        """Bytes of `keep.bytes` that are left, below 0 where it is exceeded."""
        return None if self._keep.bytes is None else self._keep.bytes - self._ledger.total

    def follow(self, event: Event) -> None:
        """Take note of an event that was journaled."""
        if self._crowned is not None:
            self._crowned.follow(event)
        match event:
            case CheckpointSaved() | CheckpointMigrated() | TrialForked():
                self._remove(event.trial, event.checkpoint)
                known = self._trials[event.trial].checkpoints[event.checkpoint]
                self._add(CheckpointRecord.from_json(known.record))
            case TrialReported():
                self._leaders.follow(event)
            case CheckpointRetired() | CheckpointDamaged():
                self._remove(event.trial, event.checkpoint)
            case TrialRestored():
                self._leaders.forget(event.trial)
                for checkpoint, _ in event.skipped:
                    self._remove(event.trial, checkpoint)

    def pin(self, owner: object, checkpoints: Iterable[str]) -> None:
        """Have ``checkpoints`` stay until ``owner`` (a trial's number, say) lets them go."""
        self._pins[owner] = frozenset(checkpoints)

    def unpin(self, owner: object) -> None:
        self._pins.pop(owner, None)

    def record(self, trial: int, checkpoint: str) -> CheckpointRecord:
        return self._of_trial[trial][checkpoint]

    def of_trial(self, trial: int) -> list[tuple[int, Retirement]]:
        """What may go of one trial, with the number of the trial."""
        if not self._of_trial.get(trial):
            return []
        gone = plan_trial(
            list(self._of_trial.get(trial, {}).values()),
            self._standing(trial, self._state.front),
            self._keep,
            metric=self._metric,
            maximize=self._maximize,
            pinned=self._pinned(trial),
            incumbent=trial in self._top,
        )
        return [(trial, retirement) for retirement in gone]

    def after_finish(self, trial: int) -> list[tuple[int, Retirement]]:
        """What may go now that a trial is over: of itself, and of incumbents that it displaced."""
        before, self._top = self._top, self._incumbents()
        others = before - self._top
        if self._crowned is not None:
            others |= self._crowned.take_decided()
        concerned = (trial, *sorted(others - {trial}))
        return [entry for number in concerned for entry in self.of_trial(number)]

    def pressed(self, now: float) -> bool:
        """Whether the whole study is to be looked at, for its bytes or its ages."""
        left = self.budget_left
        return (left is not None and left < 0) or (
            self._keep.age is not None and now >= self._ages_due
        )

    def of_study(self, now: float) -> list[tuple[int, Retirement]]:
        """What may go of the whole study, with the numbers of the trials."""
        if self._keep.age is not None:
            self._ages_due = now + min(AGE_INTERVAL_S, self._keep.age / 10)
        records = {
            record.id: record for known in self._of_trial.values() for record in known.values()
        }
        front = frozenset(self._state.front)
        gone = plan(
            records.values(),
            {number: self._standing(number, front) for number in self._of_trial},
            self._keep,
            metric=self._metric,
            maximize=self._maximize,
            pinned=self._pinned(),
            now=now,
        )
        self._warn_of_paused([entry.id for entry in gone if entry.reason is Reason.PAUSED])
        self._warn(Ledger(records[name] for name in records.keys() - {r.id for r in gone}).total)
        return [(records[retirement.id].trial, retirement) for retirement in gone]

    def _warn_of_paused(self, gone: Sequence[str]) -> None:
        if gone and not self._warned_of_paused:
            self._warned_of_paused = True
            _log.warning(
                "%s: checkpoint.keep.bytes (%s) is less than the paused trials need: the worst of "
                "them give up what they would go on from (%s first), and a promotion begins them "
                "anew; `sweep show` says which",
                self._name,
                bytes_text(self._keep.bytes or 0),
                gone[0],
            )

    def _warn(self, left: int) -> None:
        if self._keep.bytes is not None and left > self._keep.bytes and not self._warned:
            self._warned = True
            _log.warning(
                "%s: the checkpoints take %d bytes, more than checkpoint.keep.bytes (%d): what is "
                "left is needed to go on, or is the best; raise the budget, or run fewer trials "
                "at a time",
                self._name,
                left,
                self._keep.bytes,
            )

    def _incumbents(self) -> set[int]:
        if self._keep.incumbents is None:
            return set()
        front = frozenset(self._state.front)
        standings = {number: _standing(trial, front) for number, trial in self._trials.items()}
        return incumbents(standings, self._keep.incumbents, self._maximize)

    def _standing(self, number: int, front: Collection[int]) -> Standing:
        """With the step of the best report, where no checkpoint was taken at any."""
        standing = _standing(self._trials[number], front)
        records = self._of_trial.get(number, {}).values()
        if any(record.value(self._metric) is not None for record in records):
            return standing
        return replace(standing, best_step=self._leaders.step(number))

    def _pinned(self, trial: int | None = None) -> frozenset[str]:
        """What may not go; of one ``trial``, or of all."""
        crowned = frozenset[str]() if self._crowned is None else self._crowned.held(trial)
        return crowned.union(*self._pins.values())

    def _add(self, record: CheckpointRecord) -> None:
        self._of_trial.setdefault(record.trial, {})[record.id] = record
        self._ledger.add(record)

    def _remove(self, trial: int, checkpoint: str) -> None:
        record = self._of_trial.get(trial, {}).pop(checkpoint, None)
        if record is not None:
            self._ledger.remove(record)


def keep_of(spec: StudySpec) -> Keep:
    """The rules that a spec asks for."""
    keep = spec.checkpoint.keep
    return Keep(
        last=keep.last,
        best=keep.best,
        every_nth=keep.every_nth,
        incumbents=keep.incumbents,
        final=keep.final,
        unsuccessful=Unsuccessful(keep.unsuccessful),
        bytes=keep.bytes,
        age=keep.age,
    )


def _standing(trial: Trial, front: Collection[int]) -> Standing:
    match trial.state:
        case TrialState.COMPLETE:
            return Standing(
                Fate.COMPLETE,
                trial.value,
                _TOLD_LATER + trial.number if trial.told is None else trial.told,
                front=trial.number in front,
                feasible=trial.feasible,
            )
        case TrialState.PRUNED | TrialState.FAILED:
            return Standing(Fate.UNSUCCESSFUL)
        case TrialState.RUNNING:
            return Standing(Fate.UNFINISHED)
        case TrialState.PAUSED:
            rung = trial.held_at or 0
            report = trial.reports.get(trial.rungs.get(rung, -1))
            return Standing(Fate.PAUSED, None if report is None else report.value, rung=rung)
