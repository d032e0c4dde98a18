"""A database in a file of SQLite, which comes into being whole or not at all."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from sweep import fsio

QUIET_S = 60.0
"""A half-made database that nobody has written to for so long is nobody's work in progress."""

BOOKKEEPING = {"alembic_version", "workspaces"}
"""Tables that have rows while the schema is made, from migration to migration."""


def ensure(path: Path, make: Callable[[Path], None]) -> None:
    """Have ``make`` create the database ``path`` under another name, and move it there; nothing
    happens where one is that is whole.

    What a kill has left half-made, without a single row, is moved aside: its owner can open it no
    more. One that was written to within the last minute may yet be finished by whoever makes it.

    Raises:
        OSError: it cannot be written, or a half-made one is too young to be moved.
    """
    if path.exists():
        if not half_made(path):
            return
        _move_aside(path)
    fsio.make_directory(path.parent)
    _clear_leftovers(path)
    temporary = fsio.temporary_name(path)
    try:
        make(temporary)
        _put_new(temporary, path)
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)


def half_made(path: Path) -> bool:
    """Whether a file is a database that holds not one row, but for those that its ``BOOKKEEPING``
    has. A finished one has an experiment from the start."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = [name for (name,) in found if name not in BOOKKEEPING]
            return not any(
                database.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone() for name in tables
            )
    except sqlite3.Error:
        return False  # none of SQLite's, locked, or damaged: not ours to judge


def _move_aside(path: Path) -> None:
    if time.time() - path.stat().st_mtime < QUIET_S:
        raise OSError(
            f"{path}: the database is not finished; where nobody is making it now, it is moved "
            f"aside and made anew in {QUIET_S:.0f} s"
        )
    number = 1
    while (target := path.with_name(f"{path.name}.half-made-{number}")).exists():
        number += 1
    path.rename(target)
    fsio.sync_directory(path.parent)


def _clear_leftovers(path: Path) -> None:
    """Remove what was begun under another name by a process that is gone."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp*"):
        maker = leftover.name.removeprefix(f".{path.name}.").partition(".")[0]
        if maker.isdecimal() and not Path(f"/proc/{maker}").exists():
            with suppress(OSError):
                leftover.unlink()


def _put_new(temporary: Path, path: Path) -> None:
    """Give ``temporary`` its name durably, unless another process was first."""
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # not every file system has hard links
        temporary.rename(path)
    fsio.sync_directory(path.parent)
