"""Reading every byte of many checkpoints, a file that several of them hold only once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sweep.checkpoint.blob import OpenBlob, Written, unreadable
from sweep.checkpoint.manifest import Manifest, load
from sweep.checkpoint.record import CheckpointRecord
from sweep.errors import CheckpointDamagedError


@dataclass(frozen=True, slots=True)
class Flaw:
    """A file that is not what was written."""

    path: Path
    problem: str


class Auditor:
    """Holds files against their manifests, and manifests against the journal.

    Attributes:
        bytes: read so far.
    """

    def __init__(self, root: Path) -> None:
        """``root`` is the directory of a study's checkpoints."""
        self._manifests, self._blobs = root / "manifests", root / "blobs"
        self._read: dict[tuple[int, int, Written], str | None] = {}
        self.bytes = 0

    def flaws(self, record: CheckpointRecord) -> list[Flaw]:
        """What is wrong with the files of a checkpoint that the journal has.

        Raises:
            CheckpointMismatchError: it was written by a newer version of this package.
        """
        path = self._manifests / record.manifest
        try:
            manifest, digest = self._manifest(path)
        except CheckpointDamagedError as error:
            return [Flaw(path, _without(path, error))]
        if digest != record.digest:
            return [Flaw(path, "is whole, but not the one that the journal knows")]
        return self._of_blobs(path, manifest)

    def unknown(self, name: str) -> tuple[Manifest, list[Flaw]]:
        """A checkpoint that the journal does not have, and what is wrong with its blobs.

        Raises:
            CheckpointDamagedError: its manifest is not whole.
            CheckpointMismatchError: as `flaws`.
        """
        path = self._manifests / name
        manifest, _ = self._manifest(path)
        return manifest, self._of_blobs(path, manifest)

    def _manifest(self, path: Path) -> tuple[Manifest, str]:
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise CheckpointDamagedError(f"{path}: is missing") from error
        except OSError as error:
            raise unreadable(path, error) from error
        self.bytes += len(data)
        return load(data, str(path)), hashlib.sha256(data).hexdigest()

    def _of_blobs(self, manifest_path: Path, manifest: Manifest) -> list[Flaw]:
        flaws = []
        for blob in manifest.blobs:
            parts = PurePosixPath(blob.path)
            if parts.is_absolute() or ".." in parts.parts:
                flaws.append(Flaw(manifest_path, f"names a file outside the store: {blob.path}"))
                continue
            path = self._blobs / parts
            problem = self._problem(path, blob.written)
            if problem is not None:
                flaws.append(Flaw(path, problem))
        return flaws

    def _problem(self, path: Path, expected: Written) -> str | None:
        try:
            with OpenBlob(path) as file:
                status = file.status()
                key = (status.st_dev, status.st_ino, expected)
                if key not in self._read:
                    self.bytes += status.st_size
                    self._read[key] = _verdict(file, expected)
                return self._read[key]
        except CheckpointDamagedError as error:
            return _without(path, error)


def _verdict(file: OpenBlob, expected: Written) -> str | None:
    try:
        file.check(expected)
    except CheckpointDamagedError as error:
        return _without(file.path, error)
    return None


def _without(path: Path, error: Exception) -> str:
    return str(error).removeprefix(f"{path}: ")
