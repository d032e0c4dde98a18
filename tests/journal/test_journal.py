"""The journal: what was appended is on the disk, in order, whole, or not at all."""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_events import asked, created, reported

from sweep.errors import JournalError, JournalVersionError, StoreError
from sweep.journal import segment as segments
from sweep.journal.event import (
    Entry,
    TrialFinished,
    TrialState,
)
from sweep.journal.journal import FAN_IN, Journal, due_compaction, read_state
from sweep.journal.listing import Segment, list_segments
from sweep.journal.segment import changed_events, read_entries


def filled(directory: Path, trials: int = 3) -> list[Entry]:
    journal = Journal(directory)
    entries = journal.append(created())
    for number in range(trials):
        entries += journal.append(asked(number))
        journal.flush()
    journal.close()
    return entries


def test_entries_come_back_as_they_were(tmp_path: Path) -> None:
    """What is read equals what was appended, values that JSON lacks included."""
    journal = Journal(tmp_path)
    entries = journal.append(created(), asked(0), reported(0, 0, math.inf), reported(0, 1, 1e-300))
    journal.close()
    assert list(read_entries(tmp_path)) == entries


def test_state_read_equals_state_written(tmp_path: Path) -> None:
    """The fold of what is on the disk is the state that the writer had."""
    journal = Journal(tmp_path)
    journal.append(created(), asked(0), reported(0, 0, 0.5))
    journal.flush()
    assert read_state(tmp_path) == journal.state
    journal.close()
    assert read_state(tmp_path) == journal.state


def test_pandas_opens_the_directory(tmp_path: Path) -> None:
    """`pd.read_parquet` of the directory gives the raw events in order."""
    filled(tmp_path)
    frame = pd.read_parquet(tmp_path)
    assert list(frame["seq"]) == [0, 1, 2, 3]
    assert list(frame["type"]) == ["study_created"] + ["trial_asked"] * 3


def test_events_gather_into_one_segment(tmp_path: Path) -> None:
    """Many events in little time become few segments."""
    journal = Journal(tmp_path)
    journal.append(created())
    for number in range(500):
        journal.append(asked(number))
    journal.flush()
    assert len(list(tmp_path.glob("*.parquet"))) < 20
    journal.close()


def test_committed_never_runs_ahead_of_the_disk(tmp_path: Path) -> None:
    """A sequence number that is called committed can be read by another reader."""
    journal = Journal(tmp_path)
    journal.append(created())
    for number in range(50):
        journal.append(asked(number))
        committed = journal.committed
        assert [entry.seq for entry in read_entries(tmp_path)][: committed + 1] == list(
            range(committed + 1)
        )
    journal.close()


def test_reading_after_a_number(tmp_path: Path) -> None:
    """A reader that knows a prefix gets only what comes after it."""
    entries = filled(tmp_path)
    assert list(read_entries(tmp_path, after=1)) == entries[2:]


@pytest.mark.parametrize("damage", ["truncate", "empty"])
def test_torn_segment_is_named(tmp_path: Path, damage: str) -> None:
    """A damaged segment is an error that names the file; it is not skipped and not half-read."""
    filled(tmp_path)
    (path,) = tmp_path.glob("*.parquet")
    data = path.read_bytes()
    path.write_bytes({"truncate": data[:-9], "empty": b""}[damage])
    with pytest.raises(JournalError, match=path.name):
        read_state(tmp_path)
    with pytest.raises(JournalError, match=path.name):
        Journal(tmp_path)


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    """No flipped byte makes the journal say something else without an error."""
    filled(tmp_path)
    (path,) = tmp_path.glob("*.parquet")
    whole, state = path.read_bytes(), read_state(tmp_path)
    noticed = 0
    for position in range(0, len(whole), 7):
        data = bytearray(whole)
        data[position] ^= 0x10
        path.write_bytes(bytes(data))
        try:
            found = read_state(tmp_path)
        except JournalError:
            noticed += 1
            continue
        assert found == state, f"byte {position}"
    assert noticed > 50


def test_foreign_file_is_named(tmp_path: Path) -> None:
    """A file that is no segment is an error, not ignored."""
    filled(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(JournalError, match=r"notes\.txt"):
        read_state(tmp_path)


def test_foreign_parquet_is_named(tmp_path: Path) -> None:
    """A Parquet file with the name of a segment that holds something else is an error."""
    pq.write_table(pa.table({"x": [1]}), tmp_path / "00000000-00000000.parquet")
    with pytest.raises(JournalError, match="none of a journal"):
        read_state(tmp_path)


def test_missing_segment_is_named(tmp_path: Path) -> None:
    """A hole in the sequence is an error that says where."""
    journal = Journal(tmp_path)
    journal.append(created())
    for number in range(4):
        journal.append(asked(number))
        journal.flush()
    paths = sorted(tmp_path.glob("*.parquet"))
    paths[1].unlink()
    with pytest.raises(JournalError, match="should come next"):
        read_state(tmp_path)


def test_newer_format_is_refused(tmp_path: Path) -> None:
    """A journal of a newer version is an error that says so, whatever it holds."""
    filled(tmp_path)
    (path,) = tmp_path.glob("*.parquet")
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"sweep.journal": b"2"}), path)
    with pytest.raises(JournalVersionError, match="format 2"):
        read_state(tmp_path)


@pytest.mark.parametrize("version", [b"0", b"q", b"", b"\xff", b"1x"])
def test_damaged_format_is_no_newer_one(tmp_path: Path, version: bytes) -> None:
    """A format that no version of `sweep` writes is damage: an upgrade would not help."""
    filled(tmp_path)
    (path,) = tmp_path.glob("*.parquet")
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"sweep.journal": version}), path)
    with pytest.raises(JournalError, match="no format of a journal"):
        read_state(tmp_path)


def test_write_error_surfaces_and_what_was_committed_stays(tmp_path: Path) -> None:
    """When the directory is gone, the next call says so; nothing before is lost."""
    directory = tmp_path / "journal"
    journal = Journal(directory)
    journal.append(created())
    journal.flush()
    directory.rename(tmp_path / "moved")
    journal.append(asked(0))
    with pytest.raises(StoreError, match="cannot be written"):
        journal.flush()
    with pytest.raises(StoreError):
        journal.append(asked(1))
    assert read_state(tmp_path / "moved").seq == 0


def test_covered_segments_are_passed_over(tmp_path: Path) -> None:
    """A kill between writing a compacted segment and removing its parts harms nothing."""
    journal = Journal(tmp_path)
    journal.append(created())
    for number in range(5):
        journal.append(asked(number))
        journal.flush()
    parts, _ = list_segments(tmp_path)
    copies = tmp_path.parent / "copies"
    shutil.copytree(tmp_path, copies)
    merged = segments.merge_segments(tmp_path, parts)
    for part in parts:
        shutil.copy(copies / part.path.name, part.path)
    state = read_state(tmp_path)
    assert state.seq == 5
    live, covered = list_segments(tmp_path)
    assert live == [merged]
    assert len(covered) == len(parts)
    Journal(tmp_path).close()
    assert len(list(tmp_path.glob("*.parquet"))) == 1


@given(st.lists(st.integers(1, 40), min_size=1, max_size=400))
@settings(max_examples=50, deadline=None)
def test_compaction_keeps_few_segments_and_their_order(sizes: list[int]) -> None:
    """The number of segments stays logarithmic, and ranges stay adjacent."""
    live: list[Segment] = []
    first = 0
    for size in sizes:
        live.append(Segment(first, first + size - 1, Path("x")))
        first += size
        run = due_compaction(live)
        if len(run) > 1:
            assert list(run) == live[-len(run) :]
            live[-len(run) :] = [Segment(run[0].first, run[-1].last, Path("x"))]
        classes = 1 + int(math.log(max(first, 2), FAN_IN)) + 1
        assert len(live) <= FAN_IN * classes
    assert all(a.last + 1 == b.first for a, b in pairwise(live))


KILLED_WRITER = """
import sys
from pathlib import Path
from sweep.journal.journal import Journal
from sweep.journal.event import StudyCreated, TrialAsked
journal = Journal(Path(sys.argv[1]))
if journal.state.seq < 0:
    journal.append(StudyCreated(spec={}, project=""))
number = len(journal.state.trials)
print("ready", flush=True)
while True:
    journal.append(TrialAsked(trial=number, params={"n": number}, latents={}, seed=0, wrote={},
                              told=0, running=[]))
    journal.flush()
    print(number, flush=True)
    number += 1
"""


def test_killed_writer_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    """After SIGKILL at any instant, all that `flush` had returned for is there, and no tear."""
    directory = tmp_path / "journal"
    chooser = random.Random(1)
    known = -1
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", KILLED_WRITER, str(directory)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        for _ in range(chooser.randint(1, 60)):
            known = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.stdout.close()
        writer.wait()
        known = max([known, *map(int, rest)])
        state = read_state(directory)
        assert len(state.trials) in (known + 1, known + 2)
        known = len(state.trials) - 1


def test_reader_beside_a_compacting_writer(tmp_path: Path) -> None:
    """A reader always sees a prefix, while segments are merged under its feet."""
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, str(tmp_path / "journal")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == "ready\n"
        writer.stdout.readline()
        seen = 0
        while seen < 3 * FAN_IN:
            count = len(read_state(tmp_path / "journal").trials)
            assert count >= seen
            seen = count
            writer.stdout.readline()
    finally:
        writer.kill()
        writer.stdout.close()
        writer.wait()


def rewrite(path: Path, row: int, **values: object) -> None:
    """Change values of one row, as an editor of Parquet files would."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[row] |= values
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


@pytest.mark.parametrize(
    "values", [{"value": 0.25}, {"trial": 9}, {"data": "{}"}, {"type": "x"}, {"digest": 5}]
)
def test_any_changed_value_is_found(tmp_path: Path, values: dict[str, object]) -> None:
    """A value that was changed and written back as a valid file is found, with its number."""
    filled(tmp_path)
    (path,) = tmp_path.glob("*.parquet")
    assert changed_events(tmp_path) == []
    rewrite(path, 2, **values)
    assert changed_events(tmp_path)[0] == 2


def test_digests_go_on_over_sessions(tmp_path: Path) -> None:
    """The chain of digests continues through segments, compactions and drivers."""
    for session in range(3):
        journal = Journal(tmp_path)
        if session == 0:
            journal.append(created())
        for _ in range(40):
            number = len(journal.state.trials)
            end = TrialFinished(
                trial=number, attempt=1, state=TrialState.COMPLETE, value=0.1, checkpoint="c"
            )
            journal.append(asked(number), reported(number, 0, 0.1), end)
            journal.flush()
        journal.close()
    assert changed_events(tmp_path) == []
