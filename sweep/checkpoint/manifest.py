"""The manifest of a checkpoint: one JSON document that names its blobs and vouches for itself.

The last member of the document is the SHA-256 of all that stands before it, so a flipped bit in any
field is found, the digest's own included. The files it names are in it with size and digest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sweep.checkpoint.blob import Written
from sweep.checkpoint.codec import Captured, decode, encode
from sweep.checkpoint.digest import checked
from sweep.checkpoint.record import CheckpointRecord, Content, Kind, manifest_name
from sweep.checkpoint.seal import is_whole, sealed
from sweep.errors import (
    CheckpointDamagedError,
    CheckpointMismatchError,
    CheckpointVersionError,
)
from sweep.quantity import counted

FORMAT = "sweep-checkpoint"
VERSION = 3
_CODEC = "zstd"


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """A file of a checkpoint: its path below ``checkpoints/blobs``, and what must be in it."""

    path: str
    written: Written
    arrays: tuple[str, ...] = ()
    """Names in the skeleton of the one array in it; none for a file of arrays by their names."""

    @property
    def shared(self) -> bool:
        """Whether it is named by its content and may be shared with other checkpoints."""
        return bool(self.arrays)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Everything about a checkpoint except its arrays. Fields as in `CheckpointRecord`."""

    id: str
    trial: int
    attempt: int
    session: int
    kind: Kind
    epoch: int
    global_step: int
    step: int | None
    saved: float
    parent: str | None
    metrics: dict[str, float]
    meta: dict[str, Any]
    """Where it comes from, see `sweep.checkpoint.origin`. Not needed to restore."""
    blobs: tuple[Blob, ...]
    new_bytes: int = 0
    """Bytes of those blobs that were written for it, and not there already."""
    content: Content = Content.FULL
    measured: tuple[str, ...] | None = None
    skeleton: Any
    """What `sweep.checkpoint.codec` made of the state."""

    @property
    def name(self) -> str:
        """What its file is called, as in `CheckpointRecord.manifest`."""
        return manifest_name(
            self.trial,
            self.epoch,
            self.global_step,
            self.kind,
            session=self.session,
            attempt=self.attempt,
            content=self.content,
        )

    @property
    def world_size(self) -> int:
        """How many processes saved it together; each restores its own part."""
        return 1 + len(self._others)

    def part(self, rank: int) -> Any:
        """The skeleton of what process number ``rank`` saved.

        Raises:
            CheckpointMismatchError: there were not so many.
        """
        if rank >= self.world_size:
            saved_by = counted(self.world_size, "process", "processes")
            raise CheckpointMismatchError(
                f"checkpoint {self.id} was saved by {saved_by}: there is no part of rank {rank}"
            )
        if rank:
            return self._others[rank - 1]
        if not self._others:
            return self.skeleton
        return {name: item for name, item in self.skeleton.items() if name != "ranks"}

    @property
    def _others(self) -> list[Any]:
        found = self.skeleton.get("ranks", []) if isinstance(self.skeleton, dict) else []
        return found if isinstance(found, list) else []

    def record(self, path: str, written: Written) -> CheckpointRecord:
        """The journal's record of it, where the manifest is the file ``path``."""
        total = written.bytes + sum(blob.written.stored for blob in self.blobs)
        return CheckpointRecord(
            id=self.id,
            trial=self.trial,
            attempt=self.attempt,
            session=self.session,
            kind=self.kind,
            epoch=self.epoch,
            global_step=self.global_step,
            step=self.step,
            manifest=path,
            digest=written.digest,
            bytes=total,
            new_bytes=written.bytes + self.new_bytes,
            saved=self.saved,
            parent=self.parent,
            metrics=dict(self.metrics),
            measured=self.measured,
            content=self.content,
            shared=tuple(
                (_file_name(blob.written), blob.written.stored)
                for blob in self.blobs
                if blob.shared
            ),
        )


def _file_name(written: Written) -> str:
    """Stands for a shared file in a record: the same content, packed in two ways, is two files."""
    size = "" if written.packed is None else f".{written.packed}"
    return f"{written.digest[:16]}{size}"


def dump(manifest: Manifest) -> bytes:
    """The bytes of a manifest file, sealed.

    Raises:
        CheckpointError: ``meta`` holds what cannot be saved.
    """
    body = {
        "format": FORMAT,
        "version": VERSION,
        "id": manifest.id,
        "trial": manifest.trial,
        "attempt": manifest.attempt,
        "session": manifest.session,
        "kind": str(manifest.kind),
        "content": str(manifest.content),
        "epoch": manifest.epoch,
        "global_step": manifest.global_step,
        "step": manifest.step,
        "saved": manifest.saved,
        "parent": manifest.parent,
        "metrics": encode(manifest.metrics, "metrics").skeleton,
        "measured": None if manifest.measured is None else list(manifest.measured),
        "meta": encode(manifest.meta, "meta").skeleton,
        "blobs": [
            {
                "path": blob.path,
                "bytes": blob.written.bytes,
                "digest": blob.written.digest,
                "arrays": list(blob.arrays),
                "packed": _packed_json(blob.written),
            }
            for blob in manifest.blobs
        ],
        "new_bytes": manifest.new_bytes,
        "skeleton": manifest.skeleton,
    }
    return sealed(body)


def _packed_json(written: Written) -> dict[str, Any] | None:
    return None if written.packed is None else {"codec": _CODEC, "bytes": written.packed}


def _packed_size(given: dict[str, Any] | None) -> int | None:
    if given is None:
        return None
    if given["codec"] != _CODEC:
        raise ValueError(f"a file is packed with {given['codec']!r}, not with {_CODEC}")
    return _natural(given["bytes"])


def _blob(given: dict[str, Any]) -> Blob:
    path, arrays = given["path"], given["arrays"]
    if not isinstance(path, str) or "\0" in path:
        raise ValueError(f"{path!r} is no path")
    if not isinstance(arrays, list) or not all(isinstance(name, str) for name in arrays):
        raise ValueError(f"{arrays!r} are no names of arrays")
    size, packed = _natural(given["bytes"]), _packed_size(given["packed"])
    return Blob(
        path=path, written=Written(size, checked(given["digest"]), packed), arrays=tuple(arrays)
    )


def _natural(given: Any) -> int:
    if type(given) is not int or given < 0:
        raise ValueError(f"{given!r} is no count or size")
    return given


def _metrics(given: Any) -> dict[str, float]:
    metrics = decode(Captured(given))
    if not isinstance(metrics, dict):
        raise ValueError(f"{metrics!r} are no metrics")
    return metrics


def _names(given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise ValueError(f"{given!r} are no names of metrics")
    return tuple(given)


def version_of(data: bytes) -> int:
    """The format version of a manifest file that `load` has accepted."""
    return int(json.loads(data)["version"])


def load(data: bytes, where: str) -> Manifest:
    """The manifest that `dump` made ``data`` of, now or in an older format; ``where`` is its path.

    Raises:
        CheckpointDamagedError: not one byte of it may differ.
        CheckpointVersionError: it was written by a newer version of this package.
    """
    if not is_whole(data):
        raise CheckpointDamagedError(f"{where}: its content is not what was saved")
    try:
        body = json.loads(data)
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']!r}")
        version = int(body["version"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointDamagedError(f"{where}: is no manifest of a checkpoint: {error}") from error
    if version > VERSION:
        raise CheckpointVersionError(
            f"{where}: has format {version}, written by a newer sweep; this one reads up to "
            f"{VERSION}: update sweep"
        )
    try:
        while version != VERSION:
            body, version = _UPGRADES[version](body), version + 1
        return _parse(body)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointDamagedError(f"{where}: a field is missing or wrong: {error!r}") from error


def _parse(body: dict[str, Any]) -> Manifest:
    return Manifest(
        id=body["id"],
        trial=_natural(body["trial"]),
        attempt=_natural(body["attempt"]),
        session=_natural(body["session"]),
        kind=Kind(body["kind"]),
        epoch=_natural(body["epoch"]),
        global_step=_natural(body["global_step"]),
        step=body["step"],
        saved=body["saved"],
        parent=body["parent"],
        metrics=_metrics(body["metrics"]),
        measured=_names(body.get("measured")),  # manifests before it have none
        meta=decode(Captured(body["meta"])),
        blobs=tuple(map(_blob, body["blobs"])),
        new_bytes=_natural(body["new_bytes"]),
        content=Content(body["content"]),
        skeleton=body["skeleton"],
    )


def _from_v1(body: dict[str, Any]) -> dict[str, Any]:
    """Format 1 had full checkpoints only, with all arrays in one file of their own."""
    blobs = [{**blob, "arrays": []} for blob in body["blobs"]]
    new_bytes = sum(blob["bytes"] for blob in blobs)
    return {**body, "content": Content.FULL, "blobs": blobs, "new_bytes": new_bytes}


def _from_v2(body: dict[str, Any]) -> dict[str, Any]:
    """In format 2 no file was packed, and every digest was SHA-256."""
    blobs = [{**blob, "digest": blob["sha256"], "packed": None} for blob in body["blobs"]]
    return {**body, "blobs": blobs}


_UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_v1, 2: _from_v2}
"""From each older format to the next."""
