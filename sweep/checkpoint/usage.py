"""What files of checkpoints take on the disk, hard links counted once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Freed:
    """What a removal gives back to the disk."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What the checkpoints of a study take."""

    checkpoints: int = 0
    """Manifests on the disk."""
    bytes: int = 0
    """On the disk, what is set aside included; a file of several names counts once."""
    deduplicated: int = 0
    """How much more it would be if each name were a file of its own."""
    set_aside: int = 0
    """Bytes of damaged checkpoints, in quarantine."""


def usage(root: Path) -> Usage:
    """What there is below ``root``, the directory of a study's checkpoints, at this moment."""
    sizes: dict[tuple[int, int], int] = {}
    named = set_aside = 0
    for directory in ("manifests", "blobs", "quarantine", "pool"):
        for path in _files(root / directory):
            with suppress(FileNotFoundError):  # a driver may retire them meanwhile
                found = path.lstat()
                inode = (found.st_dev, found.st_ino)
                # The pool's names are no checkpoint's.
                named += found.st_size if directory != "pool" or inode not in sizes else 0
                set_aside += found.st_size if directory == "quarantine" else 0
                sizes[inode] = found.st_size
    total = sum(sizes.values())
    return Usage(
        checkpoints=sum(1 for _ in (root / "manifests").glob("*/[0-9]*.json")),
        bytes=total,
        deduplicated=named - total,
        set_aside=set_aside,
    )


def freed(root: Path, manifests: Iterable[str]) -> Freed:
    """What it gives to remove these checkpoints, and then the pool's files that none holds.

    A file of several names is given back only where all of them go. ``root`` is the directory of a
    study's checkpoints; what is not there counts nothing.
    """
    links: Counter[tuple[int, int]] = Counter()
    status: dict[tuple[int, int], os.stat_result] = {}
    for path in _doomed(root, manifests):
        with suppress(FileNotFoundError):
            found = path.lstat()
            inode = (found.st_dev, found.st_ino)
            links[inode] += 1
            status[inode] = found
    gone = [status[inode] for inode, count in links.items() if count >= status[inode].st_nlink]
    return Freed(len(gone), sum(found.st_size for found in gone))


def _doomed(root: Path, manifests: Iterable[str]) -> Iterator[Path]:
    for manifest in set(manifests):
        path = root / "manifests" / manifest
        yield path
        yield from path.parent.glob(f".{path.name}.*.tmp")
        yield from _files(root / "blobs" / manifest.removesuffix(".json"))
    yield from _files(root / "pool")


def _files(directory: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(directory):
        yield from (Path(parent) / name for name in names)
