"""What was tried so far, in the user's terms: enough to fit all of it to another space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.journal.event import (
    Event,
    HistoryAdded,
    TrialAsked,
    TrialFinished,
    TrialForked,
    TrialPaused,
    TrialPromoted,
    TrialRetried,
    TrialState,
    TrialTold,
)
from sweep.search.define import DefinedSpace
from sweep.search.fitting import fitted
from sweep.search.persistent import FirstSeen
from sweep.spec import Space, StudySpec
from sweep.spec.value import identity


@dataclass(slots=True)
class Tried:
    """One set of parameters. ``name`` is a trial's number, or ``source/number`` of another study.

    ``searched`` is False for a fork outside of the space, which no sampler learns from.
    """

    name: int | str
    params: Mapping[str, Any]
    forked: bool = False
    searched: bool = True
    state: TrialState = TrialState.RUNNING
    values: list[float] | None = None
    violations: Sequence[float] = ()

    def fit(self, space: Space | DefinedSpace, spec: StudySpec) -> Fit:
        """It in the ``space`` of ``spec``.

        Raises:
            ProgramError: a space function raised.
        """
        try:
            return fitted(space, self.params, spec.defaults)
        except ValueError as error:
            return str(error)


Fit = dict[str, list[Any]] | str
"""Latents in a space, or why there are none."""


class Past:
    """Follows the journal.

    Attributes:
        own: the trials of the study, by number.
        imported: those of other studies, in the order in which they came.
        tried: identities of the parameters that a sampler proposed, with the first such trial.
        complete: the number of the first trial with these parameters that was told as complete.
    """

    def __init__(self) -> None:
        self.own: list[Tried] = []
        self.imported: list[Tried] = []
        self.tried: FirstSeen[int] = FirstSeen()
        self.complete: FirstSeen[int] = FirstSeen()
        self._enqueued: Counter[Hashable] = Counter()

    def snapshot(self) -> Past:
        """What an ask needs of what is known now; it stays so.

        The trials themselves are not among it.
        """
        twin = Past()
        twin.tried, twin.complete = self.tried.snapshot(), self.complete.snapshot()
        twin._enqueued = self._enqueued.copy()
        return twin

    def follow(self, event: Event, spec: StudySpec) -> None:
        """Advance by one event, which happened under ``spec``."""
        match event:
            case TrialAsked():
                self.own.append(Tried(event.trial, event.params, searched=event.inside))
                self.tried.add(identity(event.params), event.trial)
                if event.enqueued is not None:
                    self._enqueued[identity(spec.enqueue[event.enqueued])] += 1
            case TrialForked():
                self.own.append(Tried(event.trial, event.params, True, event.inside))
            case TrialFinished():
                tried = self.own[event.trial]
                tried.state = event.state
                tried.values = event.values or (None if event.value is None else [event.value])
                tried.violations = event.violations
            case TrialPaused():
                self.own[event.trial].state = TrialState.PAUSED
            case TrialPromoted():
                self.own[event.trial].state = TrialState.RUNNING
            case TrialRetried():
                tried = self.own[event.trial]
                tried.state, tried.values, tried.violations = TrialState.RUNNING, None, ()
            case TrialTold():
                tried = self.own[event.trial]
                if tried.state is TrialState.COMPLETE and not tried.forked:
                    self.complete.add(identity(tried.params), event.trial)
            case HistoryAdded():
                self.imported += [
                    Tried(
                        f"{event.source}/{one['number']}",
                        one["params"],
                        state=TrialState(one["state"]),
                        values=one["values"],
                        violations=list(one["violations"].values()),
                    )
                    for one in event.trials
                ]

    def pending(self, spec: StudySpec) -> Iterator[tuple[int, dict[str, Any]]]:
        """Entries of ``enqueue``, with their places, that were not tried yet.

        An entry that was tried is known by what it says, wherever it stands now: what is added,
        moved or removed later changes nothing for the others.
        """
        left = self._enqueued.copy()
        for place, entry in enumerate(spec.enqueue):
            key = identity(entry)
            if left[key]:
                left[key] -= 1
            else:
                yield place, entry

    def get(self, number: int) -> Tried:
        """The trial with that id: a number of `own`, or -1 - n for the one at n of `imported`."""
        return self.own[number] if number >= 0 else self.imported[-1 - number]

    def left_out(
        self, space: Space | DefinedSpace, spec: StudySpec
    ) -> Iterator[tuple[int | str, str]]:
        """Names of the trials that do not fit the ``space`` of ``spec``, and why.

        Raises:
            ProgramError: a space function raised.
        """
        for tried in (*self.own, *self.imported):
            if tried.searched and isinstance(fit := tried.fit(space, spec), str):
                yield tried.name, fit
