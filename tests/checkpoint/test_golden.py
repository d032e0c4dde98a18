"""Checkpoints that past versions wrote are read for ever."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_writer import leaves

from sweep.checkpoint.manifest import VERSION, version_of
from sweep.checkpoint.record import CheckpointRecord, Content
from sweep.checkpoint.store import CheckpointStore

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(GOLDEN.glob("v*"))


def golden(root: Path) -> list[tuple[CheckpointRecord, dict[str, str]]]:
    entries: list[dict[str, Any]] = json.loads((root / "expected.json").read_text())
    return [(CheckpointRecord.from_json(entry["record"]), entry["leaves"]) for entry in entries]


def test_every_format_has_a_golden_checkpoint() -> None:
    """No format was forgotten, the present one included."""
    assert [path.name for path in VERSIONS] == [f"v{number}" for number in range(1, VERSION + 1)]


@pytest.mark.parametrize("root", VERSIONS, ids=lambda path: path.name)
def test_golden_is_read(root: Path) -> None:
    """Every leaf of the state comes back to the bit, and the records are as they were."""
    store = CheckpointStore(root / "checkpoints")
    for record, expected in golden(root):
        found = store.read(record.manifest)
        assert leaves(found.tree) == expected
        assert found.manifest.content is Content.FULL
        assert store.verify(record.manifest) == record
        model = found.tree["tracked"]["model"]
        assert model["2.weight"] is model["0.weight"]
        torch.nn.Linear(4, 4).load_state_dict(
            {"weight": model["0.weight"], "bias": model["0.bias"]}
        )


@pytest.mark.parametrize("root", VERSIONS, ids=lambda path: path.name)
def test_golden_is_migrated(root: Path, tmp_path: Path) -> None:
    """A migrated checkpoint has the newest format and the same state; doing it again is nothing."""
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    store = CheckpointStore(tmp_path / "checkpoints")
    for record, expected in golden(root):
        path = tmp_path / "checkpoints/manifests" / record.manifest
        migrated = store.migrate(record.manifest)
        assert version_of(path.read_bytes()) == VERSION
        assert leaves(store.read(record.manifest).tree) == expected
        assert (migrated.id, migrated.saved, migrated.manifest) == (
            record.id,
            record.saved,
            record.manifest,
        )
        status = path.stat()
        assert store.migrate(record.manifest) == migrated == store.verify(record.manifest)
        assert path.stat().st_ino == status.st_ino
