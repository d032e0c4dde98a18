"""A reader that keeps up with a journal which another process may be writing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sweep.journal.event import Entry
from sweep.journal.fold import apply
from sweep.journal.listing import newest_event
from sweep.journal.segment import read_entries
from sweep.journal.state import StudyState


class Follower:
    """Folds a journal as far as it goes, and each time it is asked what has come since.

    It takes no lock and costs the writer nothing: what it reads is durable, and only files with new
    events are opened.

    Attributes:
        state: what the journal said up to the entry that `new` gave last.
    """

    def __init__(self, directory: Path) -> None:
        """Of the journal in ``directory``; nothing is read yet."""
        self._directory = directory
        self.state = StudyState()

    def new(self) -> Iterator[Entry]:
        """The entries since the last call, in order; each is in `state` when it is given.

        Raises:
            JournalError, JournalVersionError: see `read_entries`; the next call tries again.
        """
        if newest_event(self._directory) <= self.state.seq:
            return
        for entry in read_entries(self._directory, after=self.state.seq):
            apply(self.state, entry)
            yield entry

    def update(self) -> StudyState:
        """The state now."""
        for _ in self.new():
            pass
        return self.state
