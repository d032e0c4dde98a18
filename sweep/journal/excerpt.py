"""A part of a journal as a segment of its own, for a copy that is cut otherwise."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa

from sweep.errors import JournalError
from sweep.journal.listing import list_segments
from sweep.journal.segment import read_table, write_table


def rows(directory: Path, first: int, last: int) -> pa.Table:
    """The rows of the events ``first`` to ``last``. Safe beside a writer.

    Raises:
        JournalError: they are not all there, or a segment is damaged.
    """
    while True:
        found = [each for each in list_segments(directory)[0] if first <= each.last]
        try:
            tables = [read_table(each) for each in found if each.first <= last]
        except FileNotFoundError:
            continue  # compacted away since it was listed
        if not tables or found[0].first > first:
            break
        table = pa.concat_tables(tables).slice(first - found[0].first, last - first + 1)
        if len(table) == last - first + 1:
            return table
        break
    raise JournalError(f"{directory}: does not hold the events {first} to {last}")


def excerpt(directory: Path, first: int, last: int) -> bytes:
    """The events ``first`` to ``last`` as the bytes of one segment.

    Raises:
        JournalError: as `rows`.
    """
    file = io.BytesIO()
    write_table(rows(directory, first, last), file)
    return file.getvalue()


def digest(directory: Path, seq: int) -> int:
    """The digest of an event, which vouches for all that came before it.

    Raises:
        JournalError: as `rows`.
    """
    value: int = rows(directory, seq, seq)["digest"][0].as_py()
    return value


def study_id(directory: Path) -> str:
    """What identifies a study: the digest of its first event (its spec, seed, place and time).

    Raises:
        JournalError: as `rows`.
    """
    return f"{digest(directory, 0) % 2**64:016x}"
