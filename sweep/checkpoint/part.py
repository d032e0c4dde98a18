"""One checkpoint of several processes: each writes a part, rank 0 commits them all together.

Every rank writes its own files and syncs them, then tells rank 0 their names and digests. Once all
have, rank 0 moves the files into the checkpoint's directory and writes the one manifest. So there
is a whole checkpoint, or, if one rank is killed before its part is durable, none.

Rank 0 writes first and the others after it, all at the same time: what they have in common with it
(the parameters, where gradients are averaged) is in the pool by then and costs them a link.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Protocol

from sweep import fsio
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.encoder import Captured
from sweep.checkpoint.layout import Layout
from sweep.checkpoint.manifest import Blob
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.selection import arrays_of
from sweep.errors import CheckpointError


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What one rank has made durable. ``blobs`` lie in `Layout.part` until they are gathered."""

    rank: int
    blobs: tuple[Blob, ...]
    new_bytes: int
    skeleton: Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rank could not save; ``code`` is the system's error number, where it was the system."""

    reason: str
    code: int | None = None

    @classmethod
    def of(cls, error: CheckpointError) -> Refusal:
        cause = error.__cause__
        return cls(str(error), cause.errno if isinstance(cause, OSError) else None)

    def raised(self) -> CheckpointError:
        """The error of another rank, to be raised in this one."""
        error = CheckpointError(self.reason)
        if self.code is not None:
            error.__cause__ = OSError(self.code, self.reason)
        return error


class Channel(Protocol):
    """To another rank: a `multiprocessing.connection.Connection`, say."""

    def send(self, message: Any, /) -> None: ...

    def recv(self) -> Any: ...


class PartWriter(Protocol):
    """What is needed of the store."""

    cpu_s: float

    def write_part(self, manifest: str, rank: int, captured: Captured) -> Part: ...

    def commit_parts(self, draft: Draft, parts: Sequence[Part]) -> CheckpointRecord: ...

    def delete(self, manifest: str) -> None: ...


class RankStore:
    """The store as one rank of a trial sees it: `write` returns once the whole is durable.

    All ranks must write the same checkpoints in the same order.
    """

    def __init__(self, store: PartWriter, rank: int, peers: Sequence[Channel]) -> None:
        """``peers``: for rank 0 the channels to ranks 1, 2, ...; for others the one to rank 0."""
        self._store, self._rank, self._peers = store, rank, peers

    @property
    def cpu_s(self) -> float:
        """As of `CheckpointStore`."""
        return self._store.cpu_s

    def write(
        self,
        draft: Draft,
        captured: Captured,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> CheckpointRecord:
        """Make this rank's part durable and return when all of them are, and committed.

        ``cancelled`` is not asked: what one rank gives up, others might have written.

        Raises:
            CheckpointError: a rank could not save, or is gone; the older checkpoints stand.
        """
        try:
            return (self._lead if self._rank == 0 else self._follow)(draft, captured)
        except (EOFError, ConnectionError):
            raise CheckpointError(
                f"checkpoint {draft.id} cannot be saved: another process of the trial is gone"
            ) from None

    def _lead(self, draft: Draft, captured: Captured) -> CheckpointRecord:
        try:
            parts = [self._store.write_part(draft.manifest, 0, captured)]
            self._tell(draft.manifest)
            parts += self._gather(draft)
            record = self._store.commit_parts(draft, parts)
        except CheckpointError as error:
            self._tell(Refusal.of(error))
            raise
        self._tell(record)
        return record

    def _gather(self, draft: Draft) -> list[Part]:
        # All are heard before one is judged: what they have written can then be removed.
        answers: list[Part | Refusal] = [peer.recv() for peer in self._peers]
        for answer in answers:
            if isinstance(answer, Refusal):
                try:
                    self._store.delete(draft.manifest)
                except OSError as error:
                    raise answer.raised() from error
                raise answer.raised()
        return [answer for answer in answers if isinstance(answer, Part)]

    def _follow(self, draft: Draft, captured: Captured) -> CheckpointRecord:
        (leader,) = self._peers
        self._heed(leader.recv())
        try:
            leader.send(self._store.write_part(draft.manifest, self._rank, captured))
        except CheckpointError as error:
            leader.send(Refusal.of(error))
        record: CheckpointRecord = self._heed(leader.recv())
        return record

    def _heed(self, word: Any) -> Any:
        if isinstance(word, Refusal):
            raise word.raised()
        return word

    def _tell(self, word: Any) -> None:
        for peer in self._peers:
            peer.send(word)


def gathered(layout: Layout, manifest: str, parts: Sequence[Part]) -> tuple[tuple[Blob, ...], int]:
    """Move the files of all ranks into the checkpoint's directory; its blobs, and their new bytes.

    A file that two ranks have is kept once. Durable when this returns.

    Raises:
        OSError: as the system says.
    """
    directory = layout.directory(manifest)
    fsio.make_directory(directory)
    found: dict[PurePosixPath, Blob] = {}
    new_bytes = 0
    for part in parts:
        new_bytes += part.new_bytes
        for blob in part.blobs:
            path = layout.blob(blob, layout.manifest(manifest))
            name = path.name if blob.shared else path.name.replace(".", f".{part.rank}.", 1)
            kept = PurePosixPath(directory.parent.name, directory.name, name)
            if kept not in found:
                path.rename(directory / name)
                found[kept] = replace(blob, path=str(kept))
            else:
                path.unlink()
                found[kept] = replace(found[kept], arrays=(*found[kept].arrays, *blob.arrays))
    fsio.sync_directory(directory)
    for part in parts:
        own = layout.part(manifest, part.rank)
        if own.exists():
            own.rmdir()
    return tuple(found.values()), new_bytes


def combined(parts: Sequence[Part]) -> dict[str, Any]:
    """The skeleton of the whole: that of rank 0, with those of the others under "ranks".

    Raises:
        CheckpointError: two ranks have arrays of the same name.
    """
    names = [arrays_of(part.skeleton) for part in parts]
    if sum(map(len, names)) > len(set().union(*names)):
        raise CheckpointError("two ranks have arrays of the same name")
    first, *others = parts
    return {**first.skeleton, "ranks": [part.skeleton for part in others]}
