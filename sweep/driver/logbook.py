"""The events of a session: recorded in the journal, and shown once they are durable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager

from sweep.journal.event import Entry, Event, TrialFinished, TrialRetried
from sweep.journal.journal import Journal
from sweep.journal.state import StudyState


class Logbook:
    """The one way in which a driver writes the journal of a study.

    Attributes:
        shown: how many trials were finished at the entry that was shown last.
    """

    def __init__(self, journal: Journal, follow: Callable[[Event], None]) -> None:
        """Into an open ``journal``; ``follow`` is called with each event after it was recorded."""
        self._journal, self._follow = journal, follow
        self._unshown: deque[Entry] = deque()
        self.shown = self.state.finished

    @property
    def state(self) -> StudyState:
        return self._journal.state

    @property
    def committed(self) -> int:
        """The last event that is durable."""
        return self._journal.committed

    @property
    def now(self) -> float:
        """Unix seconds, as the journal counts them: see `sweep.clock`."""
        return self._journal.now

    def record(self, *events: Event) -> None:
        """Append ``events``.

        Raises:
            StoreError: the journal cannot be written.
        """
        self._unshown.extend(self._journal.append(*events))
        for event in events:
            self._follow(event)

    def together(self) -> AbstractContextManager[None]:
        """What is recorded in the block is committed as a whole: a kill cannot split it."""
        return self._journal.together()

    def flush(self) -> None:
        """Return when all that was recorded is durable."""
        self._journal.flush()

    def settle(self, show: Callable[[Entry], None]) -> int:
        """Show what has become durable; the last event that has.

        Raises:
            StoreError: the journal cannot be written.
        """
        self._journal.check()
        committed = self.committed
        while self._unshown and self._unshown[0].seq <= committed:
            entry = self._unshown.popleft()
            self.shown += isinstance(entry.event, TrialFinished)
            self.shown -= isinstance(entry.event, TrialRetried)
            show(entry)
        return committed

    def close(self) -> None:
        """Leave the journal with all of it durable."""
        self._journal.close()
