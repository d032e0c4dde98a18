"""What checkpoints take on the disk."""

from __future__ import annotations

import os
from pathlib import Path

from sweep.checkpoint.usage import Usage, usage


def test_a_file_of_many_names_is_one_on_the_disk(tmp_path: Path) -> None:
    """Hard links count once; what they save is what the checkpoints would take as copies."""
    for trial in ("00000", "00001"):
        manifest = tmp_path / "manifests" / trial / "000001.000000000-s001a01.json"
        manifest.parent.mkdir(parents=True)
        manifest.write_bytes(b"m" * 10)
        (tmp_path / "blobs" / trial).mkdir(parents=True)
    (tmp_path / "pool").mkdir()
    pooled = tmp_path / "pool" / "backbone"
    pooled.write_bytes(b"b" * 1000)
    os.link(pooled, tmp_path / "blobs" / "00000" / "backbone")
    os.link(pooled, tmp_path / "blobs" / "00001" / "backbone")
    (tmp_path / "blobs" / "00001" / "own").write_bytes(b"o" * 100)
    aside = tmp_path / "quarantine" / "00002"
    aside.mkdir(parents=True)
    (aside / "bad").write_bytes(b"q" * 7)
    assert usage(tmp_path) == Usage(checkpoints=2, bytes=1127, deduplicated=1000, set_aside=7)


def test_where_there_is_nothing_nothing_is_taken(tmp_path: Path) -> None:
    """A study that never saved takes nothing, and that is no error."""
    assert usage(tmp_path / "none") == Usage()
