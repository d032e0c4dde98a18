"""What there is, by its names, without a look inside: studies, and the segments of a journal.

``00000000-00000041.parquet`` holds the events 0 to 41. A segment whose range lies inside another's
was compacted into it and is passed over, so that a kill between writing the wide one and removing
the narrow ones harms nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import (
    JournalError,
    StoreError,
    StudyNotFoundError,
    SweepError,
    UsageError,
)
from sweep.paths import StudyPaths

_NAME = re.compile(r"(\d{8,})-(\d{8,})\.parquet")
_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A file of the journal and the sequence numbers, both included, that it holds."""

    first: int
    last: int
    path: Path

    def __len__(self) -> int:
        return self.last - self.first + 1

    def covers(self, other: Segment) -> bool:
        return self.first <= other.first and other.last <= self.last and self != other


def segment_path(directory: Path, first: int, last: int) -> Path:
    return directory / f"{first:08d}-{last:08d}.parquet"


def parse_name(path: Path) -> Segment | None:
    """The segment that a file is by its name, or None."""
    match = _NAME.fullmatch(path.name)
    return None if match is None else Segment(int(match[1]), int(match[2]), path)


def newest_event(directory: Path) -> int:
    """The number of the newest event of a journal that is durable, -1 where there is none.

    Raises:
        JournalError: a file of it is missing, or none of ours.
    """
    segments, _ = list_segments(directory)
    return segments[-1].last if segments else -1


def looks_whole(directory: Path) -> bool:
    """Whether each segment ends as a Parquet file does; more is known only when it is read.

    Raises:
        JournalError: as `newest_event`.
    """
    segments, _ = list_segments(directory)
    return all(_ends_as_parquet(segment.path) for segment in segments)


def _ends_as_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-len(_MAGIC), os.SEEK_END)
            return file.read() == _MAGIC
    except OSError:  # empty, or compacted away: who reads it will see
        return False


def list_segments(directory: Path) -> tuple[list[Segment], list[Segment]]:
    """The segments that count, in order, and those that lie inside one of them.

    Raises:
        StudyNotFoundError: there is no journal (any more).
        JournalError: a file is none of ours, or a range of events is missing or there twice.
    """
    paths = _listing(directory)
    while True:
        try:
            return arrange(paths)
        except JournalError:
            # A listing made during a compaction may miss files on both sides of it. Damage stays.
            again = _listing(directory)
            if again == paths:
                raise
            paths = again


def _listing(directory: Path) -> list[Path]:
    # What begins with a dot is a write that a kill cut short: never part of the journal.
    try:
        return sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except FileNotFoundError as error:
        raise StudyNotFoundError(f"{directory.parent}: the study is gone") from error


def arrange(paths: Sequence[Path]) -> tuple[list[Segment], list[Segment]]:
    """As `list_segments`, for files that a listing (of a mirror, say) has named."""
    found = []
    for path in paths:
        segment = parse_name(path)
        if segment is None:
            raise JournalError(f"{path}: no segment of a journal; move it elsewhere")
        found.append(segment)
    found.sort(key=lambda segment: (segment.first, -segment.last))
    live: list[Segment] = []
    covered = []
    for segment in found:
        if live and live[-1].covers(segment):
            covered.append(segment)
            continue
        expected = live[-1].last + 1 if live else 0
        if segment.first != expected:
            raise JournalError(
                f"{segment.path}: begins with event {segment.first}, but event {expected} should "
                "come next: a segment was removed or renamed; restore it from a backup"
            )
        live.append(segment)
    return live, covered


def studies(store: Path) -> list[StudyPaths]:
    """All studies of ``store``, by name.

    Raises:
        UsageError: ``store`` is a file.
        StoreError: it cannot be read.
    """
    with reading(store):
        if not store.exists():
            return []
        if not store.is_dir():
            raise UsageError(f"{store}: is no directory; give another --store")
        found = [
            StudyPaths(path.absolute())
            for path in sorted(store.iterdir())
            if path.is_dir() and not path.name.startswith(".")  # a dot: still being pulled
        ]
        return [paths for paths in found if paths.exists()]


def is_study(paths: StudyPaths) -> bool:
    """Whether the journal of a study has begun there.

    Raises:
        StoreError: nobody can say, since the directory cannot be read.
    """
    with reading(paths.root):
        return paths.exists()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Have what the system says against reading ``path`` in one line."""
    try:
        yield
    except SweepError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
