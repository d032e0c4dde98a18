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
