"""The files of all checkpoints of a study: written so that what has a manifest is whole.

::

    checkpoints/manifests/00003/000007.000000420-s001a02.json
    checkpoints/blobs/00003/000007.000000420-s001a02/state.safetensors     small arrays
    checkpoints/blobs/00003/000007.000000420-s001a02/<digest>.safetensors  each large array
    checkpoints/pool/ab/<digest>.safetensors                               the same file
    checkpoints/blobs/00003/000007.000000420-s001a02.rank1/                a part not yet committed
    checkpoints/quarantine/00003/000007.000000420-s001a02/                 a damaged checkpoint

Blobs come first, each synced, then the manifest is moved into place. Deleting goes the other way.
A kill at any instant therefore leaves a whole checkpoint, or files without a manifest: garbage.

A large array is named by its content and linked from the pool where it is there already, so that a
frozen backbone, an unchanged layer or a fork is stored once: see `sweep.checkpoint.pool`.

Where files are packed (`sweep.checkpoint.compression`), ``.zst`` stands behind their names. The
digest is that of the content in either form: both lie side by side, even in one checkpoint.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweep import fsio
from sweep.checkpoint.blob import Written, naming
from sweep.checkpoint.codec import Captured, decode, encode
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.layout import Layout, stem
from sweep.checkpoint.manifest import VERSION, Blob, Manifest, dump, version_of
from sweep.checkpoint.part import Part, combined, gathered
from sweep.checkpoint.pool import Pool, shared_names
from sweep.checkpoint.quarantine import quarantine
from sweep.checkpoint.reader import Reader, Source
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.selection import arrays_of, select
from sweep.checkpoint.writer import SaveCancelled, Writer, link_or_copy
from sweep.errors import CheckpointDamagedError, CheckpointError

_STEM = re.compile(r"\.?(?P<stem>\d+\.\d+(?:\.final|\.partial)?-s(?P<session>\d+)a\d+)")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was read and verified."""

    manifest: Manifest
    tree: Any
    """The state as it was captured, or what was asked for of it."""


class CheckpointStore:
    """Reads and writes the checkpoints below one directory (``StudyPaths.checkpoints``).

    Several processes may use one directory at the same time; each writes files of its own trials.

    Attributes:
        cpu_s: CPU seconds that the threads of the last `write` spent on large arrays.
    """

    def __init__(
        self, root: Path, source: Source | None = None, *, level: int | None = None
    ) -> None:
        """
        Args:
            root: the directory.
            source: another copy of the files, from which damaged ones are mended.
            level: of zstd, 1 to 22, to pack files with that are to come; None: not packed. What is
                there is read whatever it says.
        """
        self._layout, self._source, self._level = Layout(root), source, level
        self._pool = Pool(self._layout.pool)
        self._reader = Reader(self._layout, self._pool, source)
        self.cpu_s = 0.0

    def write(
        self,
        draft: Draft,
        captured: Captured,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> CheckpointRecord:
        """Make a checkpoint durable. When this returns, it survives a power cut.

        ``cancelled`` is asked before each file: once it says True, what was written is removed.

        Raises:
            CheckpointError: the system refused, with the path; nothing is left of it.
            SaveCancelled: it was cancelled in time.
        """
        try:
            directory = self._layout.directory(draft.manifest)
            writer = Writer(self._pool, directory, cancelled, level=self._level)
            with naming(directory):
                blobs = writer.write(captured.arrays)
            self.cpu_s = writer.cpu_s
            manifest = _manifest(draft, blobs, writer.new_bytes, captured.skeleton)
            writer.heed()
            return self._commit(draft.manifest, manifest)
        except SaveCancelled:
            with suppress(OSError):
                self.delete(draft.manifest)
            raise
        except OSError as error:
            raise self._undone(draft, error) from error

    def write_part(self, manifest: str, rank: int, captured: Captured) -> Part:
        """Make what one of several processes has of a checkpoint durable: see `RankStore`.

        Raises:
            CheckpointError: the system refused, with the path. `delete` removes what was written.
        """
        directory = self._layout.part(manifest, rank)
        writer = Writer(self._pool, directory, level=self._level)
        try:
            with naming(directory):
                blobs = writer.write(captured.arrays)
        except OSError as error:
            raise CheckpointError(
                f"checkpoint {stem(manifest)} cannot be saved by rank {rank}: {error}; the older "
                "ones are untouched"
            ) from error
        self.cpu_s = writer.cpu_s
        return Part(rank=rank, blobs=blobs, new_bytes=writer.new_bytes, skeleton=captured.skeleton)

    def commit_parts(self, draft: Draft, parts: Sequence[Part]) -> CheckpointRecord:
        """Make one checkpoint of the ``parts`` of all ranks, which are durable.

        Raises:
            CheckpointError: the system refused, with the path; nothing is left of it.
        """
        try:
            skeleton = combined(parts)
            with naming(self._layout.directory(draft.manifest)):
                blobs, new_bytes = gathered(self._layout, draft.manifest, parts)
            manifest = _manifest(draft, blobs, new_bytes, skeleton)
            return self._commit(draft.manifest, manifest)
        except OSError as error:
            raise self._undone(draft, error) from error

    def fork(
        self, source_manifest: str, draft: Draft, position: Mapping[str, Any] | None = None
    ) -> CheckpointRecord:
        """A checkpoint of another trial with the state of ``source_manifest``, made of links.

        It costs a manifest. The state is taken over as it is, but for ``position`` where given.
        The files are not read: they are as whole as those of the source.

        Raises:
            CheckpointDamagedError: the source or a file of it is missing.
            CheckpointError: the system refused, with the path; nothing is left of it.
        """
        source, _ = self._reader.manifest(source_manifest, repair=self._source is not None)
        directory = self._layout.directory(draft.manifest)
        blobs, copied = [], 0
        try:
            fsio.make_directory(directory)
            for blob in source.blobs:
                path = self._layout.blob(blob, self._layout.manifest(source_manifest))
                target = directory / path.name
                if not link_or_copy(path, target):
                    copied += blob.written.stored
                blobs.append(replace(blob, path=f"{stem(draft.manifest)}/{path.name}"))
            fsio.sync_directory(directory)
            skeleton = source.skeleton
            if position is not None:
                skeleton = {**skeleton, "position": encode(dict(position), "position").skeleton}
            draft = replace(draft, meta={**source.meta, **draft.meta})
            return self._commit(draft.manifest, _manifest(draft, tuple(blobs), copied, skeleton))
        except FileNotFoundError as error:
            self._undone(draft, error)
            raise CheckpointDamagedError(f"{error.filename}: is missing") from error
        except OSError as error:
            raise self._undone(draft, error) from error

    def read(
        self, manifest: str, components: Collection[str] | None = None, *, rank: int = 0
    ) -> Checkpoint:
        """Load a checkpoint; every byte that is used is verified. With a source it is mended first.

        Args:
            manifest: its name, as in `CheckpointRecord.manifest`.
            components: names of what is tracked, or patterns over the paths in it, such as
                ``model.layers.*``; only files that are needed for them are read, and the tree
                holds them and nothing else. None for all.
            rank: where several processes saved it together, whose part.

        Raises:
            CheckpointDamagedError: a file is missing or not as it was saved.
            CheckpointMismatchError: it was written by a newer version of this package, or no such
                rank saved it.
            UsageError: the checkpoint holds no such component.
        """
        repair = self._source is not None
        loaded, _ = self._reader.manifest(manifest, repair=repair)
        part = loaded.part(rank)
        skeleton = part if components is None else select(part, components)
        needed = arrays_of(skeleton)
        if components is None and loaded.world_size == 1:
            # All files, be they needed or not: they are part of it.
            needed |= {name for blob in loaded.blobs for name in blob.arrays or ("",)}
        arrays = self._reader.arrays(loaded, manifest, needed, repair=repair)
        try:
            return Checkpoint(loaded, decode(Captured(skeleton, arrays)))
        except CheckpointDamagedError as error:
            raise CheckpointDamagedError(f"{self._layout.manifest(manifest)}: {error}") from error

    def resume(self, manifest: str) -> Checkpoint:
        """What an attempt goes on from: as `read`, unless several processes saved it.

        Then every byte of all parts is verified, in little memory, and only what the trial's first
        process must know is in the tree (position and result): each rank reads its own part.

        Raises:
            CheckpointDamagedError, CheckpointMismatchError: as `read`.
        """
        repair = self._source is not None
        loaded, _ = self._reader.manifest(manifest, repair=repair)
        if loaded.world_size == 1:
            return self.read(manifest)
        self._reader.check(loaded, manifest, repair=repair)
        head = {name: loaded.skeleton[name] for name in ("position", "returned")}
        return Checkpoint(loaded, decode(Captured(head)))

    def record(self, manifest: str) -> CheckpointRecord:
        """The record of a checkpoint, of which only the manifest is read and verified.

        Raises:
            CheckpointDamagedError, CheckpointMismatchError: as `read`.
        """
        loaded, data = self._reader.manifest(manifest, repair=self._source is not None)
        return loaded.record(manifest, _digest(data))

    def verify(self, manifest: str, *, repair: bool = False) -> CheckpointRecord:
        """Read every byte of a checkpoint; its record, as the journal should have it.

        With ``repair`` what is missing or damaged is first replaced from the pool or the source.

        Raises:
            CheckpointDamagedError, CheckpointMismatchError: as `read`.
        """
        loaded, data = self._reader.manifest(manifest, repair=repair)
        self._reader.check(loaded, manifest, repair=repair)
        return loaded.record(manifest, _digest(data))

    def migrate(self, manifest: str) -> CheckpointRecord:
        """Rewrite a checkpoint in the newest format, atomically, if it is in an older one.

        Every byte is verified before. The files of arrays stay as they are, since every format up
        to now reads them.

        Raises:
            CheckpointDamagedError, CheckpointMismatchError: as `read`.
            CheckpointError: the system refused, with the path; the old one is untouched.
        """
        loaded, data = self._reader.manifest(manifest, repair=self._source is not None)
        self._reader.check(loaded, manifest, repair=self._source is not None)
        if version_of(data) == VERSION:
            return loaded.record(manifest, _digest(data))
        try:
            return self._commit(manifest, loaded)
        except OSError as error:
            raise CheckpointError(f"{manifest}: cannot be migrated: {error}") from error

    def quarantine(self, manifest: str, reason: str = "damaged") -> Path:
        """Keep a damaged checkpoint aside, where nothing restores or deletes it.

        Its manifest and blobs move to ``quarantine/<trial>/<stem>/``, beside a `reason.txt`. Files
        of it that are damaged leave the pool, so that no other checkpoint is made of them. Doing it
        again, or to what is not there, is no error.

        Raises:
            OSError: as the system says.
        """
        return quarantine(self._layout, self._pool, manifest, reason)

    def delete(self, manifest: str) -> None:
        """Remove a checkpoint, or what is left of one. What is not there is no error.

        The manifest goes first, so a kill in between leaves garbage, never half a checkpoint.

        Raises:
            OSError: as the system says.
        """
        path, directory = self._layout.manifest(manifest), self._layout.directory(manifest)
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
        for temporary in path.parent.glob(f".{path.name}.*.tmp"):
            temporary.unlink(missing_ok=True)
        directories = [directory, *self._layout.parts(manifest)]
        shared = [name for each in directories for name in shared_names(each)]
        for each in directories:
            with suppress(FileNotFoundError, NotADirectoryError):
                shutil.rmtree(each)
        for name in shared:
            self._pool.release(name)

    def sweep_pool(self) -> int:
        """Remove shared files that no checkpoint refers to; the bytes that were given back.

        Safe at any time, beside any number of savers: see `sweep.checkpoint.pool`.

        Raises:
            OSError: as the system says.
        """
        return self._pool.sweep()

    def garbage(self, known: Collection[str], session: int) -> list[str]:
        """Names of manifests to `delete`: those of sessions before ``session`` not in ``known``.

        Names whose manifest was never finished are among them. Files of ``session`` itself are
        left alone, since a save may be under way. Shared files are another matter: `sweep_pool`.
        """
        kept = {stem(manifest) for manifest in known}
        found = set()
        for entry in (*self._layout.manifests.glob("*/*"), *self._layout.blobs.glob("*/*")):
            match = _STEM.match(entry.name)
            if match and int(match["session"]) < session:
                found.add(f"{entry.parent.name}/{match['stem']}")
        return sorted(f"{name}.json" for name in found - kept)

    def manifests(self, trial: int) -> list[str]:
        """Names of all manifests of a trial, in the order of their positions."""
        directory = self._layout.manifests / f"{trial:05d}"
        return sorted(f"{directory.name}/{path.name}" for path in directory.glob("[0-9]*.json"))

    def _commit(self, name: str, manifest: Manifest) -> CheckpointRecord:
        data, path = dump(manifest), self._layout.manifest(name)
        with naming(path):
            fsio.make_directory(path.parent)
            fsio.write_bytes(path, data)
        return manifest.record(name, _digest(data))

    def _undone(self, draft: Draft, error: OSError) -> CheckpointError:
        with suppress(OSError):
            self.delete(draft.manifest)
        if isinstance(error, CheckpointError):
            return error
        return CheckpointError(
            f"checkpoint {draft.id} cannot be saved: {error}; the older ones are untouched"
        )


def _manifest(draft: Draft, blobs: tuple[Blob, ...], new_bytes: int, skeleton: Any) -> Manifest:
    return Manifest(
        id=draft.id,
        trial=draft.trial,
        attempt=draft.attempt,
        session=draft.session,
        kind=draft.kind,
        content=draft.content,
        epoch=draft.epoch,
        global_step=draft.global_step,
        step=draft.step,
        saved=time.time(),
        parent=draft.parent,
        metrics=dict(draft.metrics),
        measured=draft.measured,
        meta=dict(draft.meta),
        blobs=blobs,
        new_bytes=new_bytes,
        skeleton=skeleton,
    )


def _digest(data: bytes) -> Written:
    return Written(len(data), hashlib.sha256(data).hexdigest())
