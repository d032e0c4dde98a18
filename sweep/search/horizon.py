"""How much of the history an answer may depend on.

Where results count as they come, that is all of it. Under ``deterministic: true`` what counts is
turns: a trial that begins takes one, and so does a paused one that goes on. A turn is over when its
trial is finished, or paused again. An answer about turn t sees the turns up to t - window as they
ended, and those between as if they had just begun, whatever is known of them by now. All that is
seen then follows from numbers, not from timing. Where nothing is paused, trial n has turn n.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from sweep.errors import ProgramError
from sweep.journal.state import StudyState, Trial
from sweep.search.persistent import PersistentList
from sweep.search.storage import HistoryStorage


@dataclass(frozen=True, slots=True)
class _Turn:
    """A turn of a trial, as it was in the storage when the turn began, and after it.

    Trials are replaced there, never changed: to keep them costs a reference each.
    """

    turn: int
    begun: FrozenTrial
    ended: FrozenTrial | None = None
    """None for the last turn of a trial: what it came to is in the storage."""


class Horizon:
    """What of a storage is shown.

    Attributes:
        lag: the window; None where everything is shown.
    """

    def __init__(self, storage: HistoryStorage) -> None:
        self.lag: int | None = None
        self._storage = storage
        self._trials: PersistentList[tuple[_Turn, ...]] = PersistentList()
        """The turns of each trial, by number."""
        self._takers: PersistentList[int] = PersistentList()
        """The trial that took each turn."""
        self._notes: PersistentList[tuple[dict[str, Any], dict[str, Any]]] = PersistentList()
        """The study's attributes as each turn began."""

    def begun(self, number: int) -> None:
        """A trial began, and what was written with it is in the storage."""
        self._trials.append(())
        self._begin(number)

    @contextmanager
    def goes_on(self, number: int) -> Iterator[None]:
        """A paused trial resumes, or a finished one is retried, which the block says to the
        storage."""
        *before, last = self._trials[number]
        ended = replace(last, ended=self._storage.get_trial(number))
        self._trials[number] = (*before, ended)
        yield
        self._begin(number)

    def first(self, number: int) -> FrozenTrial:
        """A trial as it was in the storage when it began."""
        return self._trials[number][0].begun

    def _begin(self, number: int) -> None:
        turn = _Turn(len(self._notes), self._storage.get_trial(number))
        self._trials[number] = (*self._trials[number], turn)
        self._takers.append(number)
        self._notes.append((self._storage.study_attrs, self._storage.user_attrs))

    def refitted(self, number: int, founding: Mapping[str, Any] | None) -> None:
        """A trial has other parameters in the storage, since the space has changed.

        ``founding`` is what it began with besides, None where it lies outside of the new space.
        """
        now = self._storage.get_trial(number)

        def fitted(before: FrozenTrial, state: TrialState) -> FrozenTrial:
            known = copy.copy(now)
            known.intermediate_values = before.intermediate_values
            if founding is not None:
                known.state, known.values, known.system_attrs = state, None, dict(founding)
            return known

        self._trials[number] = tuple(
            replace(
                each,
                begun=fitted(each.begun, TrialState.RUNNING),
                ended=each.ended and fitted(each.ended, TrialState.PRUNED),  # that is: paused
            )
            for each in self._trials[number]
        )

    def forget_notes(self) -> None:
        """What samplers wrote on the study was about another space, or by another kind."""
        nothing: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        self._notes = PersistentList(nothing for _ in self._notes)

    def shows_result(self, of: int) -> bool:
        """Whether what the next trial is asked with holds the result of trial ``of``."""
        return self.lag is None or self._last(of) <= len(self._notes) - self.lag

    def snapshot(self, storage: HistoryStorage) -> Horizon:
        """The same over ``storage``, a snapshot of its own."""
        twin = Horizon(storage)
        twin.lag, twin._notes = self.lag, self._notes.snapshot()
        twin._trials, twin._takers = self._trials.snapshot(), self._takers.snapshot()
        return twin

    @contextmanager
    def before(self) -> Iterator[None]:
        """Show what the next trial is asked with."""
        if self.lag is None:
            yield
            return
        with self._storage.showing(self._seen(len(self._notes), self.lag)):
            yield

    @contextmanager
    def during(self, number: int) -> Iterator[None]:
        """Show what the reports of trial ``number`` are judged with: its own are there, too."""
        if self.lag is None:
            yield
            return
        seen = self._seen(self._last(number), self.lag)
        own = self._storage.get_trial(number)
        if number < len(seen):
            seen[number] = own
        else:
            seen.append(own)
        with self._storage.showing(seen):
            yield

    @contextmanager
    def after(self, number: int) -> Iterator[None]:
        """Show what the result of trial ``number`` is told with: the results before it."""
        if self.lag is None:
            yield
            return
        storage, turn = self._storage, self._last(number)
        now = storage.study_attrs, storage.user_attrs
        storage.study_attrs, storage.user_attrs = self._notes[turn]
        try:
            with storage.showing(self._seen(turn + 1, 1)):
                yield
        finally:
            storage.study_attrs, storage.user_attrs = now

    def check(self, wrote: dict[str, dict[str, Any]]) -> None:
        """Refuse what a sampler ``wrote`` when it was told a result, if it has no place in order.

        Raises:
            ProgramError: it concerns the study, whose asks go on meanwhile.
        """
        names = [*wrote.get("study", {}), *wrote.get("study_user", {})]
        if self.lag is not None and names:
            raise ProgramError(
                "method: the sampler writes attributes of the study when it learns of a result "
                f"({', '.join(names)}), and asks go on meanwhile: remove deterministic"
            )

    def told(self, state: StudyState) -> int:
        """How many results the next ask sees."""
        unseen = (state.trials[number] for number in self._unseen())
        return len(state.iterations) - sum(_times_told(state, trial) for trial in unseen)

    def running(self, state: StudyState) -> list[int]:
        """The trials that the next ask sees running."""
        return sorted(state.running if self.lag is None else self._unseen())

    def _unseen(self) -> set[int]:
        """The trials whose last turns the next ask sees as they began."""
        if self.lag is None:
            return set()
        return set(self._takers.since(len(self._takers) - self.lag + 1))

    def _last(self, number: int) -> int:
        """The last turn of a trial."""
        return self._trials[number][-1].turn

    def _seen(self, turn: int, lag: int) -> PersistentList[FrozenTrial]:
        """The trials that began before ``turn``, by number.

        All but those with later turns than ``turn - lag`` are as the storage has them.
        """
        seen = self._storage.trials.snapshot()
        # Trials begin in the order of their numbers.
        seen.truncate(bisect_left(self._trials, turn, key=lambda turns: turns[0].turn))
        for number in set(self._takers.since(turn - lag + 1)):
            if number < len(seen):
                last = _before(self._trials[number], turn)
                known = last.ended if last.turn <= turn - lag else last.begun
                if known is not None:
                    seen[number] = known
        return seen


def _times_told(state: StudyState, trial: Trial) -> int:
    """How many results of a trial count: more than one where it was retried."""
    if trial.told is None or not trial.retried:
        return 0 if trial.told is None else 1
    return sum(iteration.trial == trial.number for iteration in state.iterations)


def _before(turns: Sequence[_Turn], turn: int) -> _Turn:
    """The last of ``turns`` before ``turn``; there is one."""
    return next(each for each in reversed(turns) if each.turn < turn)
