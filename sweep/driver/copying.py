"""One pass over a study that brings its mirror up to what the journal durably holds.

The order is what makes the mirror whole at every instant: objects, the manifests that name them,
the piece of the journal that names those; then what that piece retired goes, manifests first. The
piece goes up as one segment, so the mirror's journal steps from one state whose checkpoints are all
there to the next; between them a checkpoint may have come and gone that was never copied.
"""

from __future__ import annotations

import io
import socket
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq

from sweep.checkpoint.compression import SUFFIX
from sweep.checkpoint.manifest import load
from sweep.checkpoint.mirror import Mirror, Owner, object_name
from sweep.errors import CheckpointError, MirrorError
from sweep.journal.event import (
    CheckpointDamaged,
    CheckpointMigrated,
    CheckpointRetired,
    CheckpointSaved,
    TrialForked,
    TrialRestored,
)
from sweep.journal.excerpt import digest, excerpt, study_id
from sweep.journal.journal import due_compaction
from sweep.journal.listing import Segment, arrange, segment_path
from sweep.journal.segment import read_entries
from sweep.paths import StudyPaths

JOURNAL = Path("journal")


class Copier:
    """Copies one study into one mirror. Of one thread.

    Attributes:
        seq: the newest event that was read from the journal.
        mirrored: the newest event that the mirror's journal holds, -1 for none.
        lost: manifests that cannot be copied since they are damaged here, and why.
    """

    def __init__(self, paths: StudyPaths, mirror: Mirror) -> None:
        self._paths, self._mirror = paths, mirror
        self.seq = self.mirrored = -1
        self.lost: dict[str, str] = {}
        self._kept: dict[tuple[int, str], str] = {}
        self._damaged: set[str] = set()
        self._rewritten: dict[str, int] = {}
        self._bytes: dict[str, int] = {}
        self._session = uuid.uuid4().hex
        self._connected = False
        self._segments: list[Segment] = []
        self._objects: set[str] = set()
        self._there: dict[str, frozenset[str]] = {}
        self._named: set[str] = set()

    def follow(self) -> None:
        """Read what has become durable.

        Raises:
            JournalError: the journal is damaged.
        """
        for entry in read_entries(self._paths.journal, after=self.seq):
            match entry.event:
                case CheckpointSaved() | TrialForked():
                    self._keep(entry.event)
                case CheckpointMigrated():
                    self._keep(entry.event)
                    name = entry.event.record["manifest"]
                    self._rewritten[name] = entry.seq
                    self._there.pop(name, None)
                case CheckpointRetired(trial=trial, checkpoint=name):
                    self._bytes.pop(self._kept.pop((trial, name), ""), None)
                case CheckpointDamaged(trial=trial, checkpoint=name):
                    self._give_up(trial, name)
                case TrialRestored(trial=trial, skipped=skipped):
                    for name, _ in skipped:
                        self._give_up(trial, name)
            self.seq = entry.seq

    def _keep(self, event: CheckpointSaved | CheckpointMigrated | TrialForked) -> None:
        manifest = event.record["manifest"]
        self._kept[event.trial, event.checkpoint] = manifest
        self._bytes[manifest] = event.record["bytes"]

    def _give_up(self, trial: int, checkpoint: str) -> None:
        """Nobody goes on from it any more. What was copied of it stays: it may be the last copy."""
        manifest = self._kept.get((trial, checkpoint))
        if manifest is not None:
            self._damaged.add(manifest)
            self.lost.pop(manifest, None)

    @property
    def pending(self) -> list[str]:
        """Manifests that are to be copied, oldest first."""
        return [
            name
            for name in self._kept.values()
            if name not in self._there and name not in self.lost and name not in self._damaged
        ]

    @property
    def pending_bytes(self) -> int:
        """About how much is to be copied: a file that several name counts for each."""
        return sum(self._bytes[name] for name in self.pending)

    def copy(self) -> None:
        """Bring the mirror up to the journal.

        Raises:
            MirrorError: it is not this study's (any more), or does not keep what it is sent.
            OSError: it cannot be reached. What was copied is not copied again.
        """
        self.follow()
        if self.seq < 0:
            return
        if not self._connected:
            self._connect()
        self._check_owner()
        while pending := self.pending:
            for name in pending:
                self._copy_checkpoint(name)
        if self.seq > self.mirrored:
            self._copy_journal()
        self._remove_retired()

    def _connect(self) -> None:
        self._take_over()
        self._objects = set(self._mirror.names("objects"))
        self._named = set(self._mirror.names("manifests"))
        self._there = {}
        for name in set(self._kept.values()):
            if f"manifests/{name}" in self._named and not self._is_older(name):
                objects = self._objects_of(name)
                if objects is not None and objects <= self._objects:
                    self._there[name] = objects
        self._connected = True

    def _is_older(self, name: str) -> bool:
        """Whether the mirror's manifest is the one from before it was rewritten here."""
        return self._rewritten.get(name, -1) > self.mirrored

    def _take_over(self) -> None:
        """Become the writer, where the mirror holds nothing that this study has not been."""
        owner, study = self._mirror.owner(), study_id(self._paths.journal)
        if owner is not None and owner.study != study:
            raise MirrorError(
                f"belongs to another study of this name, {owner.path} on {owner.host}; give this "
                "one another name or mirror"
            )
        paths = [Path(name) for name in self._mirror.names("journal")]
        self._segments, covered = arrange([path for path in paths if path.suffix == ".parquet"])
        self.mirrored = self._segments[-1].last if self._segments else -1
        if self.mirrored > self.seq:
            self.follow()  # a listing made during a compaction may lack what is newest
        if self.mirrored > self.seq or not self._same_past():
            where = "" if owner is None else f" ({owner.path} on {owner.host})"
            raise MirrorError(f"the study has gone on from the mirror elsewhere{where}; pull it")
        self._mirror.own(
            Owner(
                study=study,
                session=self._session,
                host=socket.gethostname(),
                path=str(self._paths.root),
            )
        )
        for segment in covered:
            self._mirror.remove(segment.path.as_posix())

    def _same_past(self) -> bool:
        if not self._segments:
            return True
        newest = self._mirror.read(self._segments[-1].path.as_posix())
        theirs = pq.read_table(io.BytesIO(newest), columns=["digest"])["digest"][-1].as_py()
        return bool(theirs == digest(self._paths.journal, self.mirrored))

    def _check_owner(self) -> None:
        owner = self._mirror.owner()
        if owner is None:  # emptied meanwhile: begin again
            self._connect()
        elif owner.session != self._session:
            raise MirrorError(
                f"was taken over by {owner.path} on {owner.host}; this run copies no more to it"
            )

    def _copy_checkpoint(self, name: str) -> None:
        checkpoints = self._paths.checkpoints
        try:
            data = (checkpoints / "manifests" / name).read_bytes()
            objects = set()
            for blob in load(data, name).blobs:
                stored = self._stored(blob.written.digest)
                if stored is None:
                    path = checkpoints / "blobs" / blob.path
                    stored = self._mirror.write_object(path, blob.written)
                    self._objects.add(stored)
                objects.add(stored)
        except (FileNotFoundError, CheckpointError) as error:
            self.follow()  # where it was retired meanwhile, its files are rightly gone
            if name in self._kept.values() and name not in self._damaged:
                self.lost[name] = str(error)
            return
        self._mirror.write(f"manifests/{name}", data)
        self._named.add(f"manifests/{name}")
        self._there[name] = frozenset(objects)

    def _copy_journal(self) -> None:
        self._put_segment(self.mirrored + 1, self.seq)
        self.mirrored = self.seq
        run = due_compaction(self._segments)
        if len(run) > 1:
            self._segments = self._segments[: -len(run)]
            self._put_segment(run[0].first, run[-1].last)
            for segment in run:
                self._mirror.remove(segment.path.as_posix())

    def _put_segment(self, first: int, last: int) -> None:
        path = segment_path(JOURNAL, first, last)
        self._mirror.write(path.as_posix(), excerpt(self._paths.journal, first, last))
        self._segments.append(Segment(first, last, path))

    def _remove_retired(self) -> None:
        kept = set(self._kept.values())
        for name in sorted(self._named - {f"manifests/{name}" for name in kept}):
            self._mirror.remove(name)
            self._named.discard(name)
            self._there.pop(name.removeprefix("manifests/"), None)
        if not self._named <= {f"manifests/{name}" for name in self._there}:
            return  # one of them cannot be read, so nobody knows what it needs
        for name in sorted(
            self._objects - {each for some in self._there.values() for each in some}
        ):
            self._mirror.remove(name)
            self._objects.discard(name)

    def _stored(self, digest: str) -> str | None:
        plain = object_name(digest)
        return next((name for name in (plain, plain + SUFFIX) if name in self._objects), None)

    def _objects_of(self, name: str) -> frozenset[str] | None:
        """Objects that a manifest needs; None where it is whole neither here nor there."""
        for data in self._copies(name):
            try:
                blobs = load(data, name).blobs
            except CheckpointError:
                continue
            plain = (object_name(blob.written.digest) for blob in blobs)
            return frozenset(
                each + SUFFIX if each + SUFFIX in self._objects else each for each in plain
            )
        return None

    def _copies(self, name: str) -> Iterator[bytes]:
        with suppress(FileNotFoundError):
            yield (self._paths.checkpoints / "manifests" / name).read_bytes()
        yield self._mirror.read(f"manifests/{name}")
