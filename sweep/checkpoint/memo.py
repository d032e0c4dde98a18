"""Values that were computed once: durable, verified, by key.

::

    memos/study/<key>.json          shared by all trials of the study
    memos/00003/<key>.json          of trial 3 only
    memos/00003/<key>.<unique>.safetensors

As with checkpoints, the blob comes first and the manifest is moved into place. The blob's name is
unique, so even two writers of one key, on hosts whose file system does not lock, leave a whole
memo: that of the last manifest.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep import fsio
from sweep.checkpoint.blob import Array, Written, read_blob, unreadable
from sweep.checkpoint.codec import Captured, decode
from sweep.checkpoint.fresh import write_blob
from sweep.checkpoint.seal import is_whole, sealed
from sweep.checkpoint.turn import is_taken
from sweep.errors import CheckpointDamagedError, CheckpointError, CheckpointMismatchError

FORMAT = "sweep-memo"
VERSION = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoKey:
    """What a memo is the value of."""

    name: str
    trial: int | None
    """The trial that it belongs to; None where all trials share it."""
    code: str
    """Digest of the function."""
    digest: str
    """SHA-256, in hex, of everything that the value depends on, the other fields included."""

    @property
    def place(self) -> str:
        """Its files below ``memos``, without their suffixes."""
        return f"{'study' if self.trial is None else f'{self.trial:05d}'}/{self.digest}"


class MemoStore:
    """Reads and writes the memos below one directory (``StudyPaths.memos``)."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def lock(self, key: MemoKey) -> Path:
        """The lock file of who computes a memo; its directory exists when this returns.

        Raises:
            CheckpointError: the directory cannot be made.
        """
        path = self._root / f"{key.place}.lock"
        try:
            fsio.make_directory(path.parent)
        except OSError as error:
            raise CheckpointError(f"{path.parent}: cannot be made: {error}") from error
        return path

    def read(self, key: MemoKey) -> Any:
        """The value, after every byte of it was verified.

        Raises:
            KeyError: there is none.
            CheckpointDamagedError: a file is missing or not as it was saved.
            CheckpointMismatchError: it was written by a newer version of this package.
        """
        path = self._manifest(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise KeyError(key.digest) from None
        except OSError as error:
            raise unreadable(path, error) from error
        body = _load(data, path)
        if body.get("key") != key.digest:
            raise CheckpointDamagedError(f"{path}: is the memo {body.get('key')}")
        try:
            blob, arrays = body["blob"], dict[str, Array]()
            if blob is not None:
                written = Written(blob["bytes"], _digest(blob))
                arrays = read_blob(path.with_name(Path(blob["name"]).name), written)
            return decode(Captured(body["skeleton"], arrays))
        except (KeyError, TypeError) as error:
            raise CheckpointDamagedError(f"{path}: a field is missing: {error!r}") from error

    def write(self, key: MemoKey, captured: Captured, seconds: float) -> None:
        """Make a value durable. Called by who holds the lock; leftovers of others are removed.

        Args:
            key: what it is the value of.
            captured: the value.
            seconds: how long it took to compute.

        Raises:
            CheckpointError: the system refused, with the path; nothing is left of it.
        """
        path, blob = self._manifest(key), None
        data = path.with_name(f"{key.digest}.{uuid.uuid4().hex[:12]}.safetensors")
        try:
            if captured.arrays:
                written = write_blob(data, captured.arrays)
                fsio.sync_directory(data.parent)
                blob = {"name": data.name, "bytes": written.bytes, "digest": written.digest}
            body = {
                "format": FORMAT,
                "version": VERSION,
                "name": key.name,
                "trial": key.trial,
                "code": key.code,
                "key": key.digest,
                "saved": time.time(),
                "seconds": seconds,
                "blob": blob,
                "skeleton": captured.skeleton,
            }
            fsio.write_bytes(path, sealed(body))
        except OSError as error:
            with suppress(OSError):
                data.unlink(missing_ok=True)
            raise CheckpointError(
                f"{path}: trial.once({key.name!r}) cannot be saved: {error}"
            ) from error
        for other in self._leftovers(key.place, data.name):
            with suppress(OSError):
                other.unlink()

    def quarantine(self, key: MemoKey) -> list[Path]:
        """Set the files of a damaged memo aside, so that it is missing; where they are now.

        Raises:
            CheckpointError: the system refused.
        """
        aside = []
        try:
            for path in (self._manifest(key), *self._leftovers(key.place, "")):
                target = path.with_name(f"{path.name}.damaged")
                with suppress(FileNotFoundError):
                    path.replace(target)
                    aside.append(target)
            fsio.sync_directory(self._manifest(key).parent)
        except OSError as error:
            raise CheckpointError(f"{error}: a damaged memo cannot be set aside") from error
        return aside

    def garbage(self, finished: Collection[int]) -> list[Path]:
        """Files that nobody needs, to be removed in this order. Safe beside a running study.

        They are the memos of ``finished`` trials; memos whose function has changed since, that is
        those with another code than the newest one of the same name and trial; what was set aside;
        and what a killed process left. A memo that a process computes now is not touched. One that
        is asked for again after all is computed again.
        """
        found: list[Path] = []
        for directory in sorted(self._root.glob("*/")):
            if directory.name.isdecimal() and int(directory.name) in finished:
                found += sorted(directory.iterdir(), key=lambda path: path.suffix != ".json")
            else:
                found += _outdated(directory)
        return found

    def _manifest(self, key: MemoKey) -> Path:
        return self._root / f"{key.place}.json"

    def _leftovers(self, place: str, kept: str) -> list[Path]:
        """Blobs of a memo, except ``kept``, and manifests that were never finished."""
        manifest = self._root / f"{place}.json"
        blobs = manifest.parent.glob(f"{manifest.stem}.*.safetensors")
        unfinished = manifest.parent.glob(f".{manifest.name}.*.tmp")
        return sorted(path for path in (*blobs, *unfinished) if path.name != kept)


def _outdated(directory: Path) -> list[Path]:
    bodies: dict[str, dict[str, Any]] = {}
    for path in directory.glob("*.json"):
        with suppress(OSError, CheckpointError):
            bodies[path.stem] = _load(path.read_bytes(), path)
    newest: dict[str, dict[str, Any]] = {}
    for body in bodies.values():
        if body["saved"] >= newest.get(body["name"], body)["saved"]:
            newest[body["name"]] = body
    current = {
        key: body for key, body in bodies.items() if body["code"] == newest[body["name"]]["code"]
    }
    found = []
    for path in sorted(directory.iterdir(), key=lambda path: path.suffix != ".json"):
        key = path.name.lstrip(".").partition(".")[0]
        blob = (current[key]["blob"] or {}).get("name") if key in current else None
        needed = key in current and path.name in (f"{key}.json", blob)
        unreadable = path.name == f"{key}.json" and key not in bodies  # its reader sets it aside
        if not needed and not unreadable and not is_taken(directory / f"{key}.lock"):
            found.append(path)
    return found


def _digest(blob: dict[str, Any]) -> str:
    """In format 1 it was called by its kind."""
    digest: str = blob["digest"] if "digest" in blob else blob["sha256"]
    return digest


def _load(data: bytes, path: Path) -> dict[str, Any]:
    if not is_whole(data):
        raise CheckpointDamagedError(f"{path}: its content is not what was saved")
    body = json.loads(data)
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise CheckpointDamagedError(f"{path}: is no memo")
    if body["version"] > VERSION:
        raise CheckpointMismatchError(
            f"{path}: has format {body['version']}, written by a newer sweep; this one reads up to "
            f"{VERSION}: update sweep"
        )
    return body
