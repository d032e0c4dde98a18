"""The system refuses, or kills, at each call of a save in turn."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checkpoint_maker import draft
from system_call import at_call

from sweep.checkpoint.codec import encode
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import CheckpointError

HERE = Path(__file__).parent
REFUSED = frozenset(["open", "write", "fsync", "link", "rename", "replace", "mkdir"])


@pytest.mark.parametrize(
    "level", [[], pytest.param(["3"], marks=pytest.mark.long)], ids=["plain", "packed"]
)
def test_killed_at_every_system_call(tmp_path: Path, level: list[str]) -> None:
    """At each boundary of save, share, delete, fork and quarantine: nothing is lost or left."""
    done = subprocess.run(
        [sys.executable, str(HERE / "kill_points.py"), str(tmp_path), *level],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


@pytest.mark.parametrize(
    ("code", "level"),
    [(errno.ENOSPC, None), (errno.EIO, None), (errno.EACCES, None), (errno.ENOSPC, 3)],
)
def test_refused_at_every_system_call(tmp_path: Path, code: int, level: int | None) -> None:
    """A refused call is an error with its path; the older checkpoint is whole, nothing else stays.

    Large and small arrays, one of them shared with the older checkpoint.
    """
    store = CheckpointStore(tmp_path, level=level)
    shared = np.zeros(40_000)
    older = store.write(draft(1), encode({"shared": shared}))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    number, refused = 0, True
    while refused:
        number += 1
        refused = False

        def refuse(name: str) -> None:
            nonlocal refused
            refused = True
            raise OSError(code, os.strerror(code))

        tree = {"shared": shared, "own": np.full(40_000, number), "small": np.full(3, number)}
        captured = encode(tree)
        try:
            with at_call(number, refuse, REFUSED):
                record = store.write(draft(2), captured)
        except CheckpointError as error:
            seen = error
        else:
            seen = None
        if seen is not None:
            assert refused
            assert str(tmp_path) in str(seen)
            assert isinstance(seen.__cause__, OSError)
            assert seen.__cause__.errno == code
        else:
            found = store.read(record.manifest).tree
            assert np.array_equal(found["own"], tree["own"])
            store.delete(record.manifest)
        after = {path for path in tmp_path.rglob("*") if path.is_file()}
        assert not after - before, number
        # An entry that the disk cannot read leaves the pool.
        assert all("pool" in path.parts for path in before - after)
        store.verify(older.manifest)
    assert number > 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a file system here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk(small_disk: Path) -> None:
    """On a disk that is full the save fails with a path, the older stays, and nothing else does."""
    store = CheckpointStore(small_disk)
    older = store.write(draft(1), encode({"x": np.zeros(200_000)}))
    before = {path for path in small_disk.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=rf"No space left on device: '{small_disk}"):
        store.write(draft(2), encode({"x": np.ones(200_000), "y": np.full(200_000, 2.0)}))
    assert {path for path in small_disk.rglob("*") if path.is_file()} == before
    store.write(draft(3), encode({"x": np.ones(200_000)}))
    store.verify(older.manifest)
