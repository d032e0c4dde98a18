"""The trials of one study as Optuna's, kept up with its journal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from sweep.journal.event import SpecChanged, TrialState
from sweep.journal.follower import Follower
from sweep.journal.state import StudyState, Trial
from sweep.journal.table import final_metrics
from sweep.quantity import printable
from sweep.search.optuna_range import Range, ranges_of
from sweep.search.optuna_study import frozen_trial
from sweep.spec import StudySpec


class TrialsCopy:
    """Follows a journal. A trial that something happened to is replaced, never changed.

    Attributes:
        frozen: the trials, by number; another list after each update that changed one.
    """

    def __init__(self, journal: Path, first_id: int) -> None:
        """Of the study with that journal; trial ``n`` has the id ``first_id + n``."""
        self.frozen: list[FrozenTrial] = []
        self._first_id = first_id
        self._follower = Follower(journal)
        self._ranges: Mapping[str, Range] = {}

    @property
    def state(self) -> StudyState:
        """What the journal says."""
        return self._follower.state

    def update(self) -> None:
        """Take over what has happened since the last call.

        Raises:
            JournalError, OSError: it cannot be read on; what came before that is taken over.
        """
        touched: set[int] = set()
        try:
            for entry in self._follower.new():
                if isinstance(entry.event, SpecChanged):
                    self._ranges = {}
                number = getattr(entry.event, "trial", None)
                if number is not None:
                    touched.add(number)
        finally:
            if touched or (self.frozen and not self._ranges):
                self._take_over(touched)

    def _take_over(self, touched: set[int]) -> None:
        if not self._ranges or max(touched) >= len(self.frozen):
            ranges = ranges_of(self.state)
            if ranges != self._ranges:  # all trials show a parameter in the same range
                self._ranges, touched = ranges, set(self.state.trials)
        spec = StudySpec.accepted(self.state.spec)
        made = {number: self._made(spec, self.state.trials[number]) for number in touched}
        known = dict(enumerate(self.frozen)) | made
        self.frozen = [known[number] for number in self.state.trials]

    def _made(self, spec: StudySpec, trial: Trial) -> FrozenTrial:
        found = frozen_trial(spec, trial, self._ranges)
        found._trial_id = self._first_id + trial.number
        found.user_attrs = _attributes(spec, trial, found.user_attrs)
        if trial.violations:  # where the dashboard looks for them
            found.system_attrs = {**found.system_attrs, "constraints": trial.violations}
        return found


def _attributes(spec: StudySpec, trial: Trial, known: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's attributes, one for each metric: so a reader can sort and plot them."""
    paused = trial.state is TrialState.PAUSED
    objectives = {each.name for each in spec.objectives}
    found = final_metrics(trial).items()
    metrics = {printable(name): value for name, value in found if name not in objectives}
    kept = {
        name: known[name] for name in ("checkpoint", "parent", "source", "reason") if name in known
    }
    attempts = {"attempts": trial.attempts} if trial.attempts > 1 else {}
    return {**metrics, **attempts, **({"state": "paused"} if paused else {}), **kept}
