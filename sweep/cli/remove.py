"""`sweep rm`: remove studies, with their checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from sweep.cli.output import Output
from sweep.cli.place import find_study
from sweep.driver.glance import glance
from sweep.driver.mirroring import read_lag
from sweep.driver.removal import clear_removed, remove_study
from sweep.errors import StudyLockedError, UsageError
from sweep.journal.lock import holder
from sweep.paths import StudyPaths
from sweep.quantity import bytes_text, counted


def remove(store: Path, names: Sequence[str], out: Output, *, yes: bool) -> int:
    """Remove studies, after a question unless ``yes``. The exit code: 1 where the answer was no.

    Raises:
        StudyNotFoundError: one of them is not there; none is removed then.
        StudyLockedError: a driver runs one of them; none is removed then.
        UsageError: nobody can be asked.
        StoreError: one cannot be removed; those before it are.
    """
    found = list(dict.fromkeys(find_study(store, name) for name in names))
    for paths in found:
        driver = holder(paths.lock)
        if driver is not None:
            raise StudyLockedError(
                f"{paths.root}: is being run by {driver}; `sweep stop {paths.name}` first"
            )
    if not yes and not _confirmed(found, out):
        return 1
    for paths in found:
        size, lag = _size(paths.root), read_lag(paths)
        remove_study(paths)
        mirror = None if lag is None else lag.to
        if out.as_json:
            out.data({"study": paths.name, "removed": True, "bytes": size, "mirror": mirror})
        else:
            stays = "" if mirror is None else f"; its mirror {mirror} stays"
            out.line(f"{paths.name}: removed, {bytes_text(size)}{stays}")
    for root in {paths.root.parent for paths in found}:
        clear_removed(root)
    return 0


def _confirmed(found: Sequence[StudyPaths], out: Output) -> bool:
    if out.as_json or not sys.stdin.isatty():
        raise UsageError(
            f"{', '.join(paths.name for paths in found)}: to remove without a question: --yes"
        )
    for paths in found:
        known = glance(paths)
        trials = f"{counted(known['trials'], 'trial')}, " if "trials" in known else ""
        out.line(f"{paths.root}: {known['status']}, {trials}{bytes_text(_size(paths.root))}")
    return typer.confirm(f"Remove {counted(len(found), 'study', 'studies')} for good?")


def _size(root: Path) -> int:
    """Bytes on the disk: a file that has several names counts once."""
    files: dict[tuple[int, int], int] = {}
    for path in root.rglob("*"):
        try:
            there = path.lstat()
        except OSError:
            continue
        files[there.st_dev, there.st_ino] = there.st_size if path.is_file() else 0
    return sum(files.values())
