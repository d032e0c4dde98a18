"""`sweep gc`: let go what is not kept, and remove what nothing refers to."""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from sweep import fsio
from sweep.cli.output import Output
from sweep.cli.place import find_begun
from sweep.driver.collection import Collected, collect_idle, look, read_answer
from sweep.errors import StoreError, StudyLockedError
from sweep.journal.lock import holder
from sweep.paths import StudyPaths
from sweep.quantity import bytes_text, counted

LOOK_S = 0.05
"""Time between two looks for the answer: another process, maybe another machine, gives no event."""


def gc(store: Path, name: str, out: Output, *, dry_run: bool, wait: float) -> int:
    """Clean a study up. The exit code: 0 where all was removed that could go, 3 where not.

    Raises:
        StudyNotFoundError: there is none, or it has not begun.
        StoreError: it cannot be written, or its driver did not answer in ``wait``
            seconds.
    """
    paths = find_begun(store, name)
    if dry_run:
        found = look(paths, idle=holder(paths.lock) is None)
    else:
        found = _collect(paths, time.monotonic() + wait)
    if out.as_json:
        out.data({"study": paths.name, "dry_run": dry_run} | asdict(found))
    else:
        _print(paths, found, out, dry_run=dry_run)
    return StoreError.exit_code if found.failed else 0


def _collect(paths: StudyPaths, deadline: float) -> Collected:
    while True:
        if holder(paths.lock) is not None:
            found = _ask(paths, deadline)
            if found is not None:
                return found
        try:
            return collect_idle(paths)
        except StudyLockedError:
            if time.monotonic() >= deadline:
                raise


def _ask(paths: StudyPaths, deadline: float) -> Collected | None:
    """What the driver did, or None where it ended without an answer."""
    request = f"{os.getpid()}-{uuid.uuid4().hex}"
    fsio.write_bytes(paths.gc, request.encode())
    try:
        while True:
            driver = holder(paths.lock)
            found = read_answer(paths, request)
            if found is not None or driver is None:
                return found
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"{paths.name}: {driver} did not answer in time (with --inline it looks only "
                    "between two reports); give a longer --wait, or try when it has ended"
                )
            time.sleep(LOOK_S)
    finally:
        paths.gc.unlink(missing_ok=True)


def _print(paths: StudyPaths, found: Collected, out: Output, *, dry_run: bool) -> None:
    for checkpoint, reason in found.retired:
        out.line(f"{checkpoint}  {reason}")
    for manifest in found.garbage:
        out.line(f"{manifest}  garbage")
    for line in found.failed:
        out.line(f"cannot be removed: {line}")
    checkpoints = len(found.retired) + len(found.garbage)
    if not (checkpoints or found.files or found.failed):
        out.line(f"{paths.name}: there is nothing to remove")
        return
    rules = Counter(reason for _, reason in found.retired)
    parts = [f"{count} {reason}" for reason, count in rules.items()]
    parts += [f"{len(found.garbage)} without a row"] if found.garbage else []
    details = f" ({', '.join(parts)})" if parts else ""
    removed = "would be removed" if dry_run else "removed"
    out.line(
        f"{paths.name}: {counted(checkpoints, 'checkpoint')}{details} {removed}: "
        f"{counted(found.files, 'file')}, {bytes_text(found.bytes)}"
    )
