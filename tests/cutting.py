"""A study as a kill at some instant would have left it."""

from __future__ import annotations

import shutil

from sweep.journal.event import Entry, Event
from sweep.journal.excerpt import excerpt
from sweep.journal.segment import read_entries
from sweep.paths import StudyPaths


def cut(paths: StudyPaths, last: int) -> None:
    """Make the journal end with the event ``last``; its tables are gone, its checkpoints stay."""
    kept = excerpt(paths.journal, 0, last)
    shutil.rmtree(paths.journal)
    shutil.rmtree(paths.tables, ignore_errors=True)
    paths.journal.mkdir()
    (paths.journal / f"00000000-{last:08d}.parquet").write_bytes(kept)


def events(paths: StudyPaths, kind: type[Event]) -> list[Entry]:
    """The entries of the journal with events of a ``kind``."""
    return [each for each in read_entries(paths.journal) if isinstance(each.event, kind)]
