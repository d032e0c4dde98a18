"""The files of all checkpoints of a study: written so that what has a manifest is whole.

::

    checkpoints/manifests/00003/000007.000000420-s001a02.json
    checkpoints/blobs/00003/000007.000000420-s001a02/state.safetensors

Blobs come first, each synced, then the manifest is moved into place. Deleting goes the other way.
A kill at any instant therefore leaves a whole checkpoint, or files without a manifest: garbage.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from sweep import fsio
from sweep.checkpoint.blob import Array, Written, read_blob, write_blob
from sweep.checkpoint.codec import Captured, decode, encode
from sweep.checkpoint.manifest import Blob, Manifest, dump, load
from sweep.checkpoint.record import CheckpointRecord, Kind, identifier, manifest_name
from sweep.errors import CheckpointDamagedError, CheckpointError

_STEM = re.compile(r"\.?(?P<stem>\d+\.\d+(?:\.final)?-s(?P<session>\d+)a\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What is known of a checkpoint before it is written. Fields as in `CheckpointRecord`."""

    trial: int
    attempt: int
    session: int
    kind: Kind
    epoch: int
    global_step: int
    step: int | None
    parent: str | None
    metrics: Mapping[str, float]
    meta: Mapping[str, Any]
    """See `Manifest.meta`."""

    @property
    def id(self) -> str:
        return identifier(self.trial, self.epoch, self.global_step, self.kind)

    @property
    def manifest(self) -> str:
        return manifest_name(
            self.trial,
            self.epoch,
            self.global_step,
            self.kind,
            session=self.session,
            attempt=self.attempt,
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was read and verified."""

    manifest: Manifest
    tree: Any
    """The state as it was captured."""


class CheckpointStore:
    """Reads and writes the checkpoints below one directory (``StudyPaths.checkpoints``).

    Several processes may use one directory at the same time; each writes files of its own trials.
    """

    def __init__(self, root: Path) -> None:
        self._manifests = root / "manifests"
        self._blobs = root / "blobs"

    def write(self, draft: Draft, captured: Captured) -> CheckpointRecord:
        """Make a checkpoint durable. When this returns, it survives a power cut.

        Raises:
            CheckpointError: the system refused, with the path; nothing is left of it.
        """
        path = self._manifests / draft.manifest
        try:
            blobs = self._write_blobs(draft.manifest, captured.arrays)
            manifest = Manifest(
                id=draft.id,
                trial=draft.trial,
                attempt=draft.attempt,
                session=draft.session,
                kind=draft.kind,
                epoch=draft.epoch,
                global_step=draft.global_step,
                step=draft.step,
                saved=time.time(),
                parent=draft.parent,
                metrics=dict(draft.metrics),
                meta=dict(draft.meta),
                blobs=blobs,
                skeleton=captured.skeleton,
            )
            data = dump(manifest)
            fsio.make_directory(path.parent)
            fsio.write_bytes(path, data)
        except OSError as error:
            with suppress(OSError):
                self.delete(draft.manifest)
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(
                f"checkpoint {draft.id} cannot be saved: {error}; the older ones are untouched"
            ) from error
        return manifest.record(draft.manifest, _digest(data))

    def fork(
        self, manifest: str, draft: Draft, position: Mapping[str, Any] | None = None
    ) -> CheckpointRecord:
        """Make the checkpoint ``manifest`` one of another trial, too, durably.

        The state is taken over as it is (``position``: in place of the one that it holds).

        Raises:
            CheckpointDamagedError, CheckpointMismatchError: as `read`.
            CheckpointError: as `write`.
        """
        source, arrays = self._verified(manifest)
        skeleton = source.skeleton
        draft = replace(draft, meta={**source.meta, **draft.meta})
        if position is not None:
            skeleton = {**skeleton, "position": encode(dict(position), "position").skeleton}
        return self.write(draft, Captured(skeleton, arrays))

    def migrate(self, manifest: str) -> CheckpointRecord:
        """Rewrite a checkpoint in the newest format, if it is in an older one; its record.

        Raises:
            CheckpointDamagedError, CheckpointMismatchError: as `read`.
        """
        return self.verify(manifest)  # there is one format

    def read(self, manifest: str, components: Sequence[str] | None = None) -> Checkpoint:
        """Load a checkpoint; every byte of it is verified.

        ``components`` are names of tracked objects, or patterns such as ``model.layers.*`` for
        parts of their states; by default all that was saved is there.

        Raises:
            CheckpointDamagedError: a file is missing or not as it was saved.
            CheckpointMismatchError: it was written by a newer version of this package.
        """
        loaded, arrays = self._verified(manifest)
        try:
            tree = decode(Captured(loaded.skeleton, arrays))
        except CheckpointDamagedError as error:
            raise CheckpointDamagedError(f"{self._manifests / manifest}: {error}") from error
        if components is not None:
            tree = {**tree, "tracked": _chosen(tree["tracked"], components)}
        return Checkpoint(loaded, tree)

    def verify(self, manifest: str) -> CheckpointRecord:
        """Read every byte of a checkpoint; its record, as the journal should have it.

        Raises:
            CheckpointDamagedError, CheckpointMismatchError: as `read`.
        """
        loaded, _ = self._verified(manifest)
        return loaded.record(manifest, _digest((self._manifests / manifest).read_bytes()))

    def delete(self, manifest: str) -> None:
        """Remove a checkpoint, or what is left of one. What is not there is no error.

        The manifest goes first, so a kill in between leaves garbage, never half a checkpoint.

        Raises:
            OSError: as the system says.
        """
        path = self._manifests / manifest
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
        for temporary in path.parent.glob(f".{path.name}.*.tmp"):
            temporary.unlink(missing_ok=True)
        with suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(self._blobs / _stem(manifest))

    def garbage(self, known: Collection[str], session: int) -> list[str]:
        """Names of manifests to `delete`: those of sessions before ``session`` not in ``known``.

        Names whose manifest was never finished are among them. Files of ``session`` itself are
        left alone, since a save may be under way.
        """
        kept = {_stem(manifest) for manifest in known}
        found = set()
        for entry in (*self._manifests.glob("*/*"), *self._blobs.glob("*/*")):
            match = _STEM.match(entry.name)
            if match and int(match["session"]) < session:
                found.add(f"{entry.parent.name}/{match['stem']}")
        return sorted(f"{stem}.json" for stem in found - kept)

    def manifests(self, trial: int) -> list[str]:
        """Names of all manifests of a trial, in the order of their positions."""
        directory = self._manifests / f"{trial:05d}"
        return sorted(f"{directory.name}/{path.name}" for path in directory.glob("[0-9]*.json"))

    def _write_blobs(self, manifest: str, arrays: Mapping[str, Array]) -> tuple[Blob, ...]:
        if not arrays:
            return ()
        name = f"{_stem(manifest)}/state.safetensors"
        path = self._blobs / name
        fsio.make_directory(path.parent)
        written = write_blob(path, arrays)
        fsio.sync_directory(path.parent)
        return (Blob(path=name, written=written),)

    def _verified(self, manifest: str) -> tuple[Manifest, dict[str, Array]]:
        path = self._manifests / manifest
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise CheckpointDamagedError(f"{path}: is missing") from error
        except OSError as error:
            raise CheckpointDamagedError(f"{path}: cannot be read: {error}") from error
        loaded = load(data, str(path))
        arrays: dict[str, Array] = {}
        for blob in loaded.blobs:
            arrays |= read_blob(self._blob(blob, path), blob.written)
        return loaded, arrays

    def _blob(self, blob: Blob, manifest: Path) -> Path:
        parts = PurePosixPath(blob.path)
        if parts.is_absolute() or ".." in parts.parts:
            raise CheckpointDamagedError(f"{manifest}: names a file outside the store: {blob.path}")
        return self._blobs / parts


def _chosen(tracked: Mapping[str, Any], components: Sequence[str]) -> dict[str, Any]:
    """The states that ``components`` name, in parts where a pattern names parts."""
    found: dict[str, Any] = {}
    for name, state in tracked.items():
        if any(fnmatchcase(name, component) for component in components):
            found[name] = state
        elif isinstance(state, dict):
            parts = {
                key: value
                for key, value in state.items()
                if any(fnmatchcase(f"{name}.{key}", component) for component in components)
            }
            if parts:
                found[name] = parts
    return found


def _stem(manifest: str) -> str:
    return manifest.removesuffix(".json")


def _digest(data: bytes) -> Written:
    return Written(len(data), hashlib.sha256(data).hexdigest())
