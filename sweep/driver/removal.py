"""Removing a study: at once for all who look, whatever happens while its files go."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from sweep import fsio
from sweep.errors import StoreError, UsageError
from sweep.journal.lock import Lock
from sweep.paths import StudyPaths

_PREFIX = ".removed-"
"""How the directory is called while its files go: a dot hides it from all that list studies."""


def remove_study(paths: StudyPaths) -> None:
    """Remove a study that nobody runs, with its checkpoints. A mirror stays.

    Its directory is renamed first, so a kill leaves the study whole, or gone (`clear_removed`).

    Raises:
        StudyLockedError: a driver runs it.
        UsageError: it is a link to a directory elsewhere.
        StoreError: it cannot be removed.
    """
    if paths.root.is_symlink():
        raise UsageError(f"{paths.root}: is a link; remove what it leads to, or the link itself")
    aside = paths.root.with_name(f"{_PREFIX}{paths.name}-{uuid.uuid4().hex}")
    lock = Lock(paths.lock)
    try:
        paths.root.rename(aside)
        fsio.sync_directory(aside.parent)
    except OSError as error:
        raise StoreError(f"{paths.root}: cannot be removed: {error.strerror}") from error
    finally:
        lock.release()
    try:
        shutil.rmtree(aside)
    except OSError as error:
        raise StoreError(
            f"{paths.name}: is removed, but {error.filename} cannot be: {error.strerror}; "
            f"delete {aside}"
        ) from error


def clear_removed(store: Path) -> None:
    """Remove the files of studies whose removal was killed."""
    for left in store.glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
