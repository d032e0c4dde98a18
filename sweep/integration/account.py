"""What trackers are told of a study: its journal, with each value said once.

The account is a pure function of the journal. Whoever reads it again from the start, and passes
over what came up to some event, hears the very same from there on; trackers rest on that.

**Steps that are executed again** after a resume come into the journal again. Where a step has the
values that it had, as it has in a trial that goes on exactly, nothing is said: they were told
already. Where a value differs, the report is told with ``again``: what was told of that step and of
those after it was taken back (`sweep.journal.fold`), and is told anew as the trial comes by. A
tracker that can (TensorBoard) takes it back, too; one that cannot adds only what is ``fresh``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sweep.journal.event import (
    CheckpointDamaged,
    CheckpointMigrated,
    CheckpointRetired,
    CheckpointSaved,
    Entry,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialForked,
    TrialPaused,
    TrialPromoted,
    TrialReported,
    TrialRetried,
)
from sweep.journal.state import StudyState, Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """Base of what is told: of a ``trial`` as the journal has it up to here, at a unix ``time``."""

    trial: Trial
    time: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun(Told):
    """A trial was asked or forked: its parameters are known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured(Told):
    """Metrics at a step. ``fresh`` are those that no tracker was told with this value before."""

    step: int
    metrics: Mapping[str, float]
    fresh: Mapping[str, float]
    again: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved(Told):
    """A checkpoint was saved; its id."""

    checkpoint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Altered(Told):
    """The trial's checkpoints are others than before: one was retired, damaged or rewritten."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved(Told):
    """The trial's state is another one: it runs, is paused, or is over."""


@dataclass(slots=True)
class _Values:
    """What was told of a trial that reports, or may once more."""

    ever: dict[tuple[int, str], float] = field(default_factory=dict)
    """The value told last, taken back or not."""
    standing: dict[int, set[str]] = field(default_factory=dict)
    """By step the metrics that were not taken back since."""


class Account:
    """Turns entries into what is told of them. They must come in order, from the first one on."""

    def __init__(self) -> None:
        self._values: dict[int, _Values] = {}

    def tell(self, entry: Entry, state: StudyState) -> Iterator[Told]:
        """What ``entry`` means to trackers; ``state`` is what the journal says up to it."""
        event, time = entry.event, entry.time
        match event:
            case TrialAsked() | TrialForked():
                yield Begun(trial=state.trials[event.trial], time=time)
            case TrialReported():
                trial = state.trials[event.trial]
                yield from self._measured(trial, event.step, event.metrics, time)
            case CheckpointSaved():
                yield Saved(trial=state.trials[event.trial], time=time, checkpoint=event.checkpoint)
            case CheckpointRetired() | CheckpointDamaged() | CheckpointMigrated():
                yield Altered(trial=state.trials[event.trial], time=time)
            case TrialDispatched(attempt=1) | TrialPaused() | TrialPromoted() | TrialRetried():
                yield Moved(trial=state.trials[event.trial], time=time)
            case TrialFinished():
                trial = state.trials[event.trial]
                yield from self._returned(trial, time)
                yield Moved(trial=trial, time=time)
                if trial.closed:  # else it may report once more
                    self._values.pop(event.trial, None)

    def _measured(
        self, trial: Trial, step: int, metrics: Mapping[str, float], time: float
    ) -> Iterator[Measured]:
        told = self._values.setdefault(trial.number, _Values())
        standing = told.standing.get(step, set())
        fresh = {
            name: value
            for name, value in metrics.items()
            if not _same(told.ever.get((step, name)), value)
        }
        again = not standing.isdisjoint(fresh)
        if again:
            told.standing = {each: names for each, names in told.standing.items() if each < step}
            standing = set()
            metrics = trial.reports[step].metrics if step in trial.reports else metrics
        new = {name: value for name, value in metrics.items() if name not in standing}
        if new:
            told.standing[step] = standing | set(new)
            told.ever |= {(step, name): value for name, value in fresh.items()}
            yield Measured(trial=trial, time=time, step=step, metrics=new, fresh=fresh, again=again)
        if again:  # no resume took back what the trial has of later steps
            for later in sorted(each for each in trial.reports if each > step):
                there = trial.reports[later]
                yield from self._measured(trial, later, there.metrics, there.time)

    def _returned(self, trial: Trial, time: float) -> Iterator[Measured]:
        """What a trial returned and has not reported so last: one step behind its reports."""
        latest: dict[str, float] = {}
        for step in sorted(trial.reports):
            latest |= trial.reports[step].metrics
        new = {
            name: value
            for name, value in trial.metrics.items()
            if not _same(latest.get(name), value)
        }
        if new:
            told = self._values.get(trial.number, _Values())
            step = max(told.standing, default=-1) + 1
            yield from self._measured(trial, step, new, time)


def _same(one: float | None, other: float) -> bool:
    return one is not None and (one == other or (math.isnan(one) and math.isnan(other)))
