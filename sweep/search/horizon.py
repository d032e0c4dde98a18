"""How much of the history an answer may depend on.

Where results count as they come, that is all of it. Under ``deterministic: true`` an answer about
trial n sees the trials up to n - window as they ended, and those between as if they had just begun,
whatever is known of them by now. All that is seen then follows from numbers, not from timing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optuna.trial import FrozenTrial

from sweep.errors import ProgramError
from sweep.journal.state import StudyState
from sweep.search.storage import HistoryStorage


class Horizon:
    """What of a storage is shown.

    Attributes:
        lag: the window; None where everything is shown.
    """

    def __init__(self, storage: HistoryStorage) -> None:
        self.lag: int | None = None
        self._storage = storage
        self._begun: list[FrozenTrial] = []
        """Trials as they began, by number."""
        self._notes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        """The study's attributes as each trial began."""

    def begun(self, number: int) -> None:
        """A trial began, and what was written with it is in the storage."""
        # They are replaced there, never changed: to keep them costs a reference each.
        self._begun.append(self._storage.get_trial(number))
        self._notes.append((self._storage.study_attrs, self._storage.user_attrs))

    def snapshot(self, storage: HistoryStorage) -> Horizon:
        """The same over ``storage``, a snapshot of its own."""
        twin = Horizon(storage)
        twin.lag, twin._begun, twin._notes = self.lag, list(self._begun), list(self._notes)
        return twin

    @contextmanager
    def before(self, number: int) -> Iterator[None]:
        """Show what trial ``number`` is asked with."""
        if self.lag is None:
            yield
            return
        with self._storage.showing(self._seen(number, self.lag)):
            yield

    @contextmanager
    def during(self, number: int) -> Iterator[None]:
        """Show what the reports of trial ``number`` are judged with: its own are there, too."""
        if self.lag is None:
            yield
            return
        itself = self._storage.get_trial(number)
        with self._storage.showing([*self._seen(number, self.lag), itself]):
            yield

    @contextmanager
    def after(self, number: int) -> Iterator[None]:
        """Show what the result of trial ``number`` is told with: the results before it."""
        if self.lag is None:
            yield
            return
        storage = self._storage
        now = storage.study_attrs, storage.user_attrs
        storage.study_attrs, storage.user_attrs = self._notes[number]
        try:
            with storage.showing(storage.trials[: number + 1]):
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
        if self.lag is None:
            return len(state.iterations)
        newest = len(state.trials) - self.lag
        return sum(iteration.trial <= newest for iteration in state.iterations)

    def running(self, state: StudyState) -> list[int]:
        """The trials that the next ask sees running."""
        if self.lag is None:
            return sorted(state.running)
        number = len(state.trials)
        return list(range(max(0, number - self.lag + 1), number))

    def _seen(self, number: int, lag: int) -> list[FrozenTrial]:
        ended = max(0, number - lag + 1)
        return [*self._storage.trials[:ended], *self._begun[ended:number]]
