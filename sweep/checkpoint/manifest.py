"""The manifest of a checkpoint: one JSON document that names its blobs and vouches for itself.

The last member of the document is the SHA-256 of all that stands before it, so a flipped bit in any
field is found, the digest's own included. The files it names are in it with size and digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from sweep.checkpoint.blob import Written
from sweep.checkpoint.codec import Captured, decode, encode
from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.errors import CheckpointDamagedError, CheckpointMismatchError

FORMAT = "sweep-checkpoint"
VERSION = 1
_SEAL = re.compile(rb',"sha256":"([0-9a-f]{64})"}\n\Z')
_SEAL_LENGTH = len(b',"sha256":""}\n') + 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """A file of a checkpoint: its path below ``checkpoints/blobs``, and what must be in it."""

    path: str
    written: Written


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
    """About the trial: parameters, seed, versions. Not needed to restore."""
    blobs: tuple[Blob, ...]
    skeleton: Any
    """What `sweep.checkpoint.codec` made of the state."""
    content: Content = Content.FULL

    def record(self, path: str, written: Written) -> CheckpointRecord:
        """The journal's record of it, where the manifest is the file ``path``."""
        total = written.bytes + sum(blob.written.bytes for blob in self.blobs)
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
            digest=written.sha256,
            bytes=total,
            new_bytes=total,
            saved=self.saved,
            parent=self.parent,
            metrics=dict(self.metrics),
            content=self.content,
        )


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
        "meta": encode(manifest.meta, "meta").skeleton,
        "blobs": [
            {"path": blob.path, "bytes": blob.written.bytes, "sha256": blob.written.sha256}
            for blob in manifest.blobs
        ],
        "skeleton": manifest.skeleton,
    }
    text = json.dumps(body, allow_nan=False, separators=(",", ":"))[:-1].encode()
    return text + f',"sha256":"{hashlib.sha256(text).hexdigest()}"}}\n'.encode()


def load(data: bytes, where: str) -> Manifest:
    """The manifest that `dump` made ``data`` of; ``where`` is its path, for errors.

    Raises:
        CheckpointDamagedError: not one byte of it may differ.
        CheckpointMismatchError: it was written by a newer version of this package.
    """
    seal = _SEAL.search(data)
    if seal is None or hashlib.sha256(data[:-_SEAL_LENGTH]).hexdigest() != seal[1].decode():
        raise CheckpointDamagedError(f"{where}: its content is not what was saved")
    try:
        body = json.loads(data)
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']!r}")
        version = int(body["version"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointDamagedError(f"{where}: is no manifest of a checkpoint: {error}") from error
    if version > VERSION:
        raise CheckpointMismatchError(
            f"{where}: has format {version}, written by a newer sweep; this one reads up to "
            f"{VERSION}: update sweep"
        )
    try:
        return _parse(body)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointDamagedError(f"{where}: a field is missing or wrong: {error!r}") from error


def _parse(body: dict[str, Any]) -> Manifest:
    return Manifest(
        id=body["id"],
        trial=body["trial"],
        attempt=body["attempt"],
        session=body["session"],
        kind=Kind(body["kind"]),
        epoch=body["epoch"],
        global_step=body["global_step"],
        step=body["step"],
        saved=body["saved"],
        parent=body["parent"],
        metrics=decode(Captured(body["metrics"])),
        meta=decode(Captured(body["meta"])),
        blobs=tuple(
            Blob(path=blob["path"], written=Written(blob["bytes"], blob["sha256"]))
            for blob in body["blobs"]
        ),
        skeleton=body["skeleton"],
        content=Content(body.get("content", Content.FULL)),
    )
