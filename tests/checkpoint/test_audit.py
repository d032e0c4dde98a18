"""The files of a checkpoint held against what the journal and the manifest say of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoint_maker import draft, flip

from sweep.checkpoint.audit import Auditor
from sweep.checkpoint.codec import encode
from sweep.checkpoint.manifest import dump
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.store import CheckpointStore


@pytest.fixture
def made(tmp_path: Path) -> CheckpointRecord:
    tree = {"large": torch.arange(90_000), "small": torch.arange(3)}
    return CheckpointStore(tmp_path).write(draft(1), encode(tree))


def test_whole(tmp_path: Path, made: CheckpointRecord) -> None:
    """Every byte is read, once however often it is asked for."""
    auditor = Auditor(tmp_path)
    assert auditor.flaws(made) == []
    assert auditor.bytes == made.bytes
    assert auditor.flaws(made) == []
    assert auditor.bytes < 2 * made.bytes


def test_another_manifest_is_not_the_journals(tmp_path: Path, made: CheckpointRecord) -> None:
    """One that vouches for itself, but is not the one that was journaled, is a flaw, too."""
    store, path = CheckpointStore(tmp_path), tmp_path / "manifests" / made.manifest
    other = replace(store.read(made.manifest).manifest, metrics={"loss": 0.0})
    path.write_bytes(dump(other))
    store.verify(made.manifest)
    (flaw,) = Auditor(tmp_path).flaws(made)
    assert flaw.path == path
    assert "not the one that the journal knows" in flaw.problem


def test_each_bad_file_is_named(tmp_path: Path, made: CheckpointRecord) -> None:
    """All of them, not the first alone."""
    files = sorted((tmp_path / "blobs" / made.manifest.removesuffix(".json")).iterdir())
    flip(files[0], 300)
    files[1].unlink()
    flaws = {flaw.path: flaw.problem for flaw in Auditor(tmp_path).flaws(made)}
    assert flaws == {files[0]: "its content is not what was saved", files[1]: "is missing"}
