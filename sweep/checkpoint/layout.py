"""Where the files of checkpoints lie below their root; see `sweep.checkpoint.store`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sweep.checkpoint.blob import Written
from sweep.checkpoint.compression import SUFFIX
from sweep.checkpoint.manifest import Blob
from sweep.errors import CheckpointDamagedError


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of files; a manifest is named as in `CheckpointRecord.manifest`."""

    root: Path

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def pool(self) -> Path:
        return self.root / "pool"

    def manifest(self, name: str) -> Path:
        return self.manifests / name

    def directory(self, name: str) -> Path:
        """The directory with a checkpoint's own names of its blobs."""
        return self.blobs / stem(name)

    def part(self, name: str, rank: int) -> Path:
        """Where one of several processes writes its part of a checkpoint, before the commit."""
        return self.blobs / f"{stem(name)}.rank{rank}"

    def parts(self, name: str) -> list[Path]:
        """What there is of such directories."""
        return sorted(self.directory(name).parent.glob(f"{self.directory(name).name}.rank*"))

    def quarantine(self, name: str) -> Path:
        """Where a damaged checkpoint is kept aside."""
        return self.root / "quarantine" / stem(name)

    def blob(self, blob: Blob, manifest: Path) -> Path:
        """
        Raises:
            CheckpointDamagedError: ``manifest`` names a file elsewhere.
        """
        parts = PurePosixPath(blob.path)
        if parts.is_absolute() or ".." in parts.parts:
            raise CheckpointDamagedError(f"{manifest}: names a file outside the store: {blob.path}")
        return self.blobs / parts


def stem(manifest: str) -> str:
    """Trial and position of a checkpoint: the name of its manifest without the suffix."""
    return manifest.removesuffix(".json")


def small_name(*, packed: bool) -> str:
    """Name of the file of a checkpoint's small arrays."""
    return f"state.safetensors{SUFFIX if packed else ''}"


def shared_name(written: Written) -> str:
    """Name of a file that is named by its content, whatever its form on the disk is."""
    return f"{written.digest}.safetensors{'' if written.packed is None else SUFFIX}"
