"""Damaged checkpoints are kept aside: nothing that could still be of use to somebody is deleted."""

from __future__ import annotations

import os
from pathlib import Path

from sweep import fsio
from sweep.checkpoint.layout import Layout
from sweep.checkpoint.pool import Pool, shared_names


def quarantine(layout: Layout, pool: Pool, checkpoint: str, reason: str) -> Path:
    """Move a checkpoint to ``quarantine/<trial>/<stem>/``; see `CheckpointStore.quarantine`.

    The reason is written first, then the manifest goes and then the blobs. Killed in between, it
    is finished by doing it again.
    """
    manifest, blobs = layout.manifest(checkpoint), layout.directory(checkpoint)
    target = layout.quarantine(checkpoint)
    if not manifest.exists() and not blobs.exists():
        return target
    fsio.make_directory(target)
    with (target / "reason.txt").open("w", encoding="utf-8") as note:
        note.write(f"{reason}\n")
        note.flush()
        os.fsync(note.fileno())
    if blobs.is_dir():
        # First out of the pool: the next save must not link what is damaged.
        for name in shared_names(blobs):
            pool.expel(name)
    for source, moved in ((manifest, target / manifest.name), (blobs, target / "blobs")):
        if source.exists() and not moved.exists():
            source.rename(moved)
            fsio.sync_directory(target)
            fsio.sync_directory(source.parent)
    return target
