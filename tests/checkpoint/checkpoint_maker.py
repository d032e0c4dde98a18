"""Drafts and sizes that the tests of the store share."""

from __future__ import annotations

from pathlib import Path

from sweep.checkpoint.draft import Draft
from sweep.checkpoint.record import Kind


def draft(epoch: int, *, trial: int = 0, session: int = 1, kind: Kind = Kind.PERIODIC) -> Draft:
    return Draft(
        trial=trial,
        attempt=1,
        session=session,
        kind=kind,
        epoch=epoch,
        global_step=0,
        step=epoch,
        parent=None,
        metrics={},
        meta={},
    )


def inodes(root: Path) -> dict[int, int]:
    """Bytes on the disk of every file, each inode once."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file():
            status = path.stat()
            found[status.st_ino] = status.st_blocks * 512
    return found


def flip(path: Path, place: int, bit: int = 0) -> None:
    """Flip one bit of a file in place, as a failing disk does: all its names show it."""
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1 << bit]))
