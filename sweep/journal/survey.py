"""A look at a journal that may be damaged: every bad file, and the state up to the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sweep.errors import JournalError, JournalVersionError
from sweep.journal.damage import foreign
from sweep.journal.fold import apply
from sweep.journal.listing import Segment, list_segments, parse_name
from sweep.journal.segment import (
    chain,
    decode_table,
    read_rows,
    read_table,
)
from sweep.journal.state import StudyState


@dataclass(slots=True)
class Survey:
    """What a journal holds."""

    state: StudyState = field(default_factory=StudyState)
    """The fold over all segments before the first bad one."""
    segments: int = 0
    """Files that were read and are whole."""
    bad: list[tuple[Path, str]] = field(default_factory=list)
    """Files that are not what was written, and what is wrong with each."""
    beyond: list[Path] = field(default_factory=list)
    """The first bad file and all that follow it: nothing of them is in the state."""


def survey(directory: Path) -> Survey:
    """Read every byte of a journal, against checksums and the chain of digests. Takes no lock.

    Raises:
        JournalVersionError: it was written by a newer version.
    """
    while True:
        try:
            return _survey(directory)
        except FileNotFoundError:  # compacted away since it was listed
            continue


def _survey(directory: Path) -> Survey:
    found = Survey()
    digest = 0
    for segment in _segments(directory, found):
        whole = not found.beyond
        try:
            with foreign(segment.path):
                digest = _read(segment, found.state, digest, follows=whole)
            found.segments += 1
        except JournalVersionError:
            raise
        except JournalError as error:
            found.bad.append((segment.path, str(error)))
            whole = False
        if not whole:
            found.beyond.append(segment.path)
    return found


def _segments(directory: Path, found: Survey) -> Sequence[Segment]:
    try:
        return list_segments(directory)[0]
    except JournalError:
        pass
    segments = []
    for path in sorted(directory.glob("[!.]*")):
        segment = parse_name(path)
        if segment is None:
            found.bad.append((path, f"{path}: no segment of a journal; move it elsewhere"))
        else:
            segments.append(segment)
    segments.sort(key=lambda segment: (segment.first, -segment.last))
    return [
        segment
        for place, segment in enumerate(segments)
        if not any(wide.covers(segment) for wide in segments[:place])
    ]


def _read(segment: Segment, state: StudyState, digest: int, *, follows: bool) -> int:
    """Fold a segment into ``state`` where all before it is whole; the digest of its last row."""
    table = read_table(segment)
    if not follows:
        return digest
    if segment.first != state.seq + 1:
        raise JournalError(
            f"{segment.path}: begins with event {segment.first}, but event {state.seq + 1} should "
            "come next: a segment was removed or renamed"
        )
    for row in read_rows(table):
        if row["digest"] != chain(digest, row):
            raise JournalError(f"{segment.path}: event {row['seq']} is not what was written")
        digest = row["digest"]
    for entry in list(decode_table(table)):  # all of them can be read before the first is folded
        apply(state, entry)
    return digest
