"""A study out of its mirror: the journal and the checkpoints that it keeps, verified.

It is put together under a name with a dot, which is no study's, and takes its own at the end. A
pull that was killed goes on with the files that are there and whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from sweep import fsio
from sweep.checkpoint.blob import Written
from sweep.checkpoint.layout import shared_name
from sweep.checkpoint.manifest import Blob, load
from sweep.checkpoint.mirror import Mirror
from sweep.checkpoint.place import below, place_at
from sweep.checkpoint.pool import Pool, is_whole
from sweep.driver.mirroring import Lag, write_lag
from sweep.driver.recovery import fetch_journal
from sweep.errors import (
    CheckpointDamagedError,
    CheckpointError,
    StudyNotFoundError,
    UsageError,
)
from sweep.journal.journal import read_state
from sweep.journal.lock import Lock
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.spec import StudySpec, dump_spec

ATTEMPTS = 5
"""So often the mirror may change under a pull before what is missing counts as missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    """What came: ``missing`` are manifests that the mirror's journal names and it does not have.

    ``aside`` is where a study lies now that was there before.
    """

    paths: StudyPaths
    checkpoints: int
    bytes: int
    missing: dict[str, str]
    aside: Path | None = None


def mirrored(uri: str) -> list[str]:
    """URIs of the studies that lie in a mirror of several; none where ``uri`` is a study itself.

    Raises:
        StudyNotFoundError: there is no study.
        OSError: the mirror cannot be reached.
    """
    place = place_at(uri)
    if Mirror(place).owner() is not None:
        return []
    inside = [below(uri, name) for name in place.folders()]
    found = [each for each in inside if Mirror(place_at(each)).owner() is not None]
    if not found:
        raise StudyNotFoundError(
            f"{uri}: there is no study in it; give what `checkpoint.mirror` of the study says, "
            "with /STUDY behind it"
        )
    return found


def pull(uri: str, store: Path, *, aside: bool = False) -> Pulled:
    """Fetch the study at ``uri``, a study's folder in a mirror, into ``store``.

    Args:
        aside: a study of that name that is there is moved away once the other one is complete, to
            a name with a dot; nothing of it is lost.

    Raises:
        UsageError: the store has a study of that name already.
        StudyLockedError: it is to be moved, and a driver runs it.
        StudyNotFoundError: there is none in the mirror.
        MirrorError: its journal is not whole.
        OSError: the mirror cannot be reached; what came stays for the next pull.
    """
    name = PurePosixPath(urlsplit(uri).path).name
    final = StudyPaths.of(store, name)
    if not name or name.startswith("."):
        raise UsageError(f"{uri}: ends with no study's name; it is .../STUDY")
    if final.root.exists() and not aside:
        raise UsageError(
            f"{final.root}: is there already. If it is damaged, `sweep verify {name} --repair` "
            "takes from the mirror what it lacks; --aside moves it to a hidden name beside it and "
            "pulls; or give another --store"
        )
    mirror = Mirror(place_at(uri))
    if mirror.owner() is None:
        raise StudyNotFoundError(f"{uri}: there is no study in the mirror")
    partial = StudyPaths(final.root.with_name(f".{name}.pull"))
    fsio.make_directory(partial.root)
    lock = Lock(partial.lock)
    try:
        for leftover in partial.root.rglob(".*.tmp"):
            leftover.unlink()
        pulled = _fetch(mirror, partial, final)
        write_lag(partial, Lag(to=uri, seq=read_state(partial.journal).seq))
        moved = _set_aside(final) if final.root.exists() else None
        partial.root.rename(final.root)
        fsio.sync_directory(final.root.parent)
        return replace(pulled, aside=moved)
    finally:
        lock.release()


def _set_aside(paths: StudyPaths) -> Path:
    """Move a study that nobody runs to a name that is no study's; the new place.

    Raises:
        StudyLockedError: a driver runs it.
    """
    lock = Lock(paths.lock)
    try:
        number = 1
        while (target := paths.root.with_name(f".{paths.name}.aside-{number}")).exists():
            number += 1
        paths.root.rename(target)
        return target
    finally:
        lock.release()


def _fetch(mirror: Mirror, partial: StudyPaths, final: StudyPaths) -> Pulled:
    for attempt in range(ATTEMPTS):
        fetch_journal(mirror, partial.journal)
        state = read_state(partial.journal)
        missing: dict[str, str] = {}
        kept = _kept(state)
        fetched = 0
        by_content: dict[Written, Path] = {}
        for manifest in kept:
            try:
                fetched += _fetch_checkpoint(mirror, partial.checkpoints, manifest, by_content)
            except (FileNotFoundError, CheckpointError) as error:
                missing[manifest] = str(error)
        if not missing or attempt == ATTEMPTS - 1:
            break  # else the study may have gone on and retired them meanwhile
    _clear(partial.checkpoints, set(kept))
    spec = StudySpec.accepted(state.spec)
    fsio.write_bytes(partial.spec, dump_spec(spec).encode())
    return Pulled(paths=final, checkpoints=len(kept) - len(missing), bytes=fetched, missing=missing)


def _kept(state: StudyState) -> list[str]:
    return [
        checkpoint.record["manifest"]
        for trial in state.trials.values()
        for checkpoint in trial.kept
    ]


def _fetch_checkpoint(
    mirror: Mirror, checkpoints: Path, manifest: str, by_content: dict[Written, Path]
) -> int:
    """Bytes of a checkpoint, after it is here and whole. Its manifest comes last."""
    data = mirror.read(f"manifests/{manifest}")
    total = len(data)
    for blob in load(data, manifest).blobs:
        path = _inside(checkpoints / "blobs", blob, manifest)
        fsio.make_directory(path.parent)
        here = is_whole(path, blob.written, trusting=False) or _linked(
            by_content.get(blob.written), path
        )
        if not here and not mirror.fetch_object(blob.written, path):
            raise CheckpointDamagedError(f"{manifest}: the mirror does not have {blob.path}")
        by_content.setdefault(blob.written, path)
        if path.name == shared_name(blob.written):  # offered to the checkpoints to come
            pooled = Pool(checkpoints / "pool").path(blob.written)
            fsio.make_directory(pooled.parent)
            pooled.unlink(missing_ok=True)
            _linked(path, pooled)
        total += blob.written.stored
    path = checkpoints / "manifests" / manifest
    fsio.make_directory(path.parent)
    fsio.write_bytes(path, data)
    return total


def _inside(blobs: Path, blob: Blob, manifest: str) -> Path:
    parts = PurePosixPath(blob.path)
    if parts.is_absolute() or ".." in parts.parts:
        raise CheckpointDamagedError(f"{manifest}: names a file outside the store: {blob.path}")
    return blobs / parts


def _linked(source: Path | None, path: Path) -> bool:
    """Whether ``path`` is now another name of ``source``; not every file system can."""
    if source is None:
        return False
    path.unlink(missing_ok=True)
    try:
        os.link(source, path)
    except OSError:
        return False
    fsio.sync_directory(path.parent)
    return True


def _clear(checkpoints: Path, kept: set[str]) -> None:
    """Remove what an earlier pull fetched and is retired now."""
    for path in list(_manifests(checkpoints)):
        name = f"{path.parent.name}/{path.name}"
        if name not in kept:
            path.unlink()
            shutil.rmtree(checkpoints / "blobs" / name.removesuffix(".json"), ignore_errors=True)


def _manifests(checkpoints: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from (checkpoints / "manifests").glob("*/[0-9]*.json")
