"""Segments: the Parquet files of which a journal consists.

A segment appears under its name (see `sweep.journal.listing`) whole and durable, or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sweep.errors import JournalError, JournalVersionError, SweepError
from sweep.journal.column import column, whole_numbers
from sweep.journal.damage import foreign, line_of
from sweep.journal.event import PREAMBLE, DriverStarted, Entry
from sweep.journal.listing import Segment, list_segments, segment_path
from sweep.journal.row import DECODED, decode_rows, encode
from sweep.journal.seal import is_broken, write_sealed
from sweep.journal.stage import Stage

FORMAT = 1
"""Version of the layout of a segment, kept in the metadata of each."""

_FORMAT_KEY = b"sweep.journal"

_BATCH = 10_000
"""So many events are decoded at once: all of a long journal would not fit in the memory."""

_GROUP = 20_000
"""So many rows of a segment are written as one group, at least."""

SCHEMA = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("version", pa.int16(), nullable=False),
        pa.field("trial", pa.int64()),
        pa.field("attempt", pa.int32()),
        pa.field("step", pa.int64()),
        pa.field("state", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("checkpoint", pa.string()),
        pa.field("data", pa.string(), nullable=False),
        pa.field("digest", pa.int64(), nullable=False),
    ],
    metadata={_FORMAT_KEY: str(FORMAT).encode()},
)


_DIGESTED = tuple(name for name in SCHEMA.names if name != "digest")


def chain(previous: int, row: Mapping[str, Any]) -> int:
    """The digest of a row that follows one with the digest ``previous`` (0 before the first).

    A row that was changed does not have its digest any more, and one that was put in, taken out or
    moved breaks that of the next.
    """
    # JSON, because it gives the same text for a value before it is written and after.
    content = json.dumps([previous, *(row[name] for name in _DIGESTED)])
    return int.from_bytes(hashlib.blake2b(content.encode(), digest_size=8).digest(), signed=True)


def write_segment(
    directory: Path, entries: Sequence[Entry], previous: int, stage: Stage | None = None
) -> tuple[Segment, int]:
    """Write consecutive ``entries`` as one durable segment, which follows the digest ``previous``.

    ``stage`` is the writer's; where there is none the right to write is taken for this one segment.
    The segment, and the digest of its last row.
    """
    rows = [encode(entry) for entry in entries]
    for row in rows:
        previous = row["digest"] = chain(previous, row)
    columns = [column([row[field.name] for row in rows], field.type) for field in SCHEMA]
    first, last = entries[0].seq, entries[-1].seq
    path = segment_path(directory, first, last)
    with _staged(directory, stage) as own, own.publishing(path.name) as file:
        write_table(pa.Table.from_arrays(columns, schema=SCHEMA), file)
    return Segment(first, last, path), previous


def merge_segments(
    directory: Path, segments: Sequence[Segment], stage: Stage | None = None
) -> Segment:
    """Write one segment that covers ``segments`` (adjacent ones), then remove them.

    Few of their rows are in the memory at a time. ``stage`` as in `write_segment`.
    """
    first, last = segments[0].first, segments[-1].last
    path = segment_path(directory, first, last)
    parts = (part for segment in segments for part in read_parts(segment))
    with _staged(directory, stage) as own:
        with own.publishing(path.name) as file:
            _write(file, _gathered(parts), last - first + 1)
        for segment in segments:
            own.remove(segment.path.name)
    pa.default_memory_pool().release_unused()
    return Segment(first, last, path)


@contextmanager
def _staged(directory: Path, stage: Stage | None) -> Iterator[Stage]:
    if stage is not None:
        yield stage
        return
    with closing(Stage(directory)) as own:
        yield own


def _gathered(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """``parts``, so many together that they are worth a row group."""
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= _GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def write_table(table: pa.Table, file: Any) -> None:
    """Write rows in the form of a segment."""
    parts = (table.slice(begin, _GROUP) for begin in range(0, len(table), _GROUP))
    _write(file, parts, len(table))


def _write(file: Any, parts: Iterable[pa.Table], rows: int) -> None:
    dictionary = rows > 1000  # not worth its time in small ones
    write_sealed(file, SCHEMA, parts, use_dictionary=dictionary)


def read_table(segment: Segment) -> pa.Table:
    """The rows of a segment, each page checked against its checksum.

    Raises:
        JournalError: the file is torn, foreign, or does not hold what its name says.
        JournalVersionError: it was written by a newer version.
        FileNotFoundError: it was compacted away since it was listed.
    """
    return pa.concat_tables(read_parts(segment))


def read_parts(segment: Segment) -> Iterator[pa.Table]:
    """The rows of a segment in order, at most `_BATCH` at a time: as each page is checked.

    Raises:
        JournalError, JournalVersionError, FileNotFoundError: as `read_table`, when it comes to what
            is wrong.
    """
    with _open(segment) as file:
        _check_form(segment, file.schema_arrow)
        due = segment.first
        for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
            part = pa.Table.from_batches([batch], SCHEMA)
            if not np.array_equal(whole_numbers(batch["seq"]), np.arange(due, due + len(part))):
                break
            yield part
            due += len(part)
        if due != segment.last + 1:
            raise JournalError(f"{segment.path}: does not hold the events that its name says")


def read_first(segment: Segment) -> Entry:
    """The first entry of a segment. No other is decoded, so that a long one costs little more.

    Raises:
        JournalError, JournalVersionError, FileNotFoundError: as `read_table`.
    """
    with _open(segment) as file:
        _check_form(segment, file.schema_arrow)
        rows = pa.Table.from_batches(
            islice(file.iter_batches(batch_size=1, use_threads=False), 1), SCHEMA
        )
    with foreign(segment.path):
        entry = next(decode_table(rows), None)
    if entry is None or entry.seq != segment.first:
        raise JournalError(f"{segment.path}: does not begin with the event that its name says")
    return entry


@contextmanager
def _open(segment: Segment) -> Iterator[pq.ParquetFile]:
    try:
        # In this thread alone, and not from a Python file: a process that ends while Arrow's
        # threads hold one is aborted (apache/arrow#34314, #50482).
        data = segment.path.read_bytes()
        if is_broken(data):
            raise ValueError("its bytes are not those that were written")
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            yield file
    except SweepError:
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError) and segment.path.is_symlink():
            raise JournalError(
                f"{segment.path}: a link to a file that is missing; bring the file back"
            ) from error
        if isinstance(error, FileNotFoundError):
            raise
        raise JournalError(
            f"{segment.path}: torn or no Parquet file ({line_of(error)}); "
            f"nothing was changed; `sweep verify {segment.path.parent.parent.name} --repair` takes "
            "it from the study's mirror, if there is one, or keeps what came before it"
        ) from error


def _check_form(segment: Segment, schema: pa.Schema) -> None:
    version = (schema.metadata or {}).get(_FORMAT_KEY)
    if version is None:
        raise JournalError(f"{segment.path}: a Parquet file, but none of a journal; move it away")
    if not version.isdigit() or not int(version):
        raise JournalError(f"{segment.path}: damaged: {version!r} is no format of a journal")
    if int(version) > FORMAT:
        raise JournalVersionError(
            f"{segment.path}: a journal of format {int(version)}, this sweep reads {FORMAT}; "
            "update sweep to read it"
        )
    if schema.names != SCHEMA.names or schema.types != SCHEMA.types:
        raise JournalError(f"{segment.path}: its columns are not those of a journal")


def decode_table(table: pa.Table) -> Iterator[Entry]:
    """The entries of a segment's rows, in order; the first are there before the last are read."""
    times = table["time"].cast(pa.int64())
    for batch in table.set_column(1, "time", times).select(DECODED).to_batches(_BATCH):
        yield from decode_rows(batch.to_pydict())


def read_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a segment as `decode` and `chain` take them."""
    times = table["time"].cast(pa.int64())
    rows: list[dict[str, Any]] = table.set_column(1, "time", times).to_pylist()
    return rows


def changed_events(directory: Path) -> list[int]:
    """Sequence numbers of the events that are not what was written, by their digests.

    Raises:
        JournalError, JournalVersionError: see `list_segments` and `read_table`.
    """
    changed = []
    previous = 0
    for segment in list_segments(directory)[0]:
        for row in read_rows(read_table(segment)):
            if row["digest"] != chain(previous, row):
                changed.append(row["seq"])
            previous = row["digest"]
    return changed


def read_entries(
    directory: Path, after: int = -1, *, without: Collection[str] = ()
) -> Iterator[Entry]:
    """All entries of the journal whose sequence number is above ``after``, in order.

    Those of the types ``without`` are passed over, before they are decoded: all but the last before
    a driver began and the last of a segment, which say until when what came before them went on.

    Safe beside a writer: what is read is a prefix of what happened. A segment that is compacted
    away between the listing and the reading is found again in the segment that covers it.

    Raises:
        JournalError, JournalVersionError: see `list_segments` and `read_table`.
    """
    while True:
        segments, _ = list_segments(directory)
        pending = [segment for segment in segments if segment.last > after]
        if not pending:
            return
        for segment in pending:
            try:
                with foreign(segment.path):
                    for part in read_parts(segment):
                        # A wide segment may hold much that is known: that is not decoded again.
                        unread = part.slice(max(0, after + 1 - part["seq"][0].as_py()))
                        for entry in decode_table(_without(unread, without)):
                            after = entry.seq
                            yield entry
            except FileNotFoundError:
                break
        else:
            return


def _without(table: pa.Table, types: Collection[str]) -> pa.Table:
    if not types or not len(table):
        return table
    import pyarrow.compute as pc  # start-up: few read a part only

    kept = pc.invert(pc.is_in(table["type"], pa.array(sorted(types), pa.string()))).to_numpy()
    before = pa.array([DriverStarted.type, *sorted(PREAMBLE)], pa.string())
    begins = pc.is_in(table["type"], before).to_numpy()
    kept[:-1] |= begins[1:]
    kept[-1] = True
    return table.filter(pa.array(kept))


class Reading:
    """The entries that a journal has now, read again each time they are gone through."""

    def __init__(self, directory: Path) -> None:
        """Of the journal in ``directory``.

        Raises:
            JournalError: as `list_segments`.
        """
        segments, _ = list_segments(directory)
        self._directory, self._last = directory, segments[-1].last if segments else -1

    def __iter__(self) -> Iterator[Entry]:
        return takewhile(lambda entry: entry.seq <= self._last, read_entries(self._directory))
