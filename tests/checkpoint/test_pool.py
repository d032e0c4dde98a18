"""What is equal is stored once, over all checkpoints of a store."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_maker import draft, flip, inodes

from sweep.checkpoint import pool
from sweep.checkpoint.codec import encode
from sweep.checkpoint.fork import write_fork
from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import UsageError

MIB = 1 << 20


def backbone(seed: int = 0, mib: int = 1) -> torch.Tensor:
    return torch.randn(mib * MIB // 4, generator=torch.Generator().manual_seed(seed))


def save(store: CheckpointStore, epoch: int, trial: int = 0, **tree: Any) -> CheckpointRecord:
    return store.write(draft(epoch, trial=trial), encode({"tracked": tree}))


def pool_files(root: Path) -> list[Path]:
    return list((root / "pool").rglob("*.safetensors"))


def test_frozen_backbone_of_ten_trials_is_stored_once(tmp_path: Path) -> None:
    """Ten trials with one backbone and a head each take the room of one backbone and ten heads."""
    store = CheckpointStore(tmp_path)
    records = [
        save(store, 1, trial, model={"body": backbone(mib=4), "head": backbone(trial + 1)})
        for trial in range(10)
    ]
    used = sum(inodes(tmp_path).values())
    assert 14 * MIB <= used < 14.5 * MIB
    assert all(record.bytes > 5 * MIB for record in records)
    assert records[0].new_bytes == records[0].bytes
    assert all(MIB < record.new_bytes < 1.1 * MIB for record in records[1:])
    for trial, record in enumerate(records):
        found = store.read(record.manifest).tree["tracked"]["model"]
        assert torch.equal(found["body"], backbone(mib=4))
        assert torch.equal(found["head"], backbone(trial + 1))


def test_ten_forks_cost_ten_manifests(tmp_path: Path) -> None:
    """A fork is another trial's checkpoint with the same state, at the cost of its manifest."""
    store = CheckpointStore(tmp_path)
    state = {"model": backbone(mib=4), "small": torch.arange(4.0)}
    source = store.write(draft(3), encode({"tracked": state, "position": {"epoch": 3}}))
    before = sum(inodes(tmp_path).values())
    for trial in range(1, 11):
        fork = store.fork(
            source.manifest, draft(3, trial=trial, kind=Kind.FORK), {"epoch": 3, "prune": False}
        )
        assert store.verify(fork.manifest) == fork
        assert (fork.trial, fork.kind, fork.shared) == (trial, Kind.FORK, source.shared)
        assert fork.new_bytes == (tmp_path / "manifests" / fork.manifest).stat().st_size
    assert sum(inodes(tmp_path).values()) - before <= 10 * 8192
    store.delete(source.manifest)
    found = store.read(fork.manifest)
    assert torch.equal(found.tree["tracked"]["model"], state["model"])
    assert torch.equal(found.tree["tracked"]["small"], state["small"])
    assert found.tree["position"] == {"epoch": 3, "prune": False}


@pytest.mark.parametrize("content", [Content.PARTIAL, Content.LIGHT])
def test_only_a_full_one_is_forked(tmp_path: Path, content: Content) -> None:
    """What a trial cannot go on from is no beginning of another; it is refused by its id."""
    store = CheckpointStore(tmp_path)
    source = store.write(replace(draft(3), content=content), encode({"x": backbone()}))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=f"checkpoint {source.id} is {content}"):
        write_fork(store, source, trial=1, session=1, params={})
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_fork_replaces_what_a_killed_one_left(tmp_path: Path) -> None:
    """Files under the name of the new checkpoint, of which no event knew, are in nobody's way."""
    store = CheckpointStore(tmp_path)
    source, other = save(store, 1, x=backbone()), save(store, 2, x=backbone(1))
    left = write_fork(store, other, trial=1, session=1, params={"lr": 1})
    manifest = Path(left.manifest).name.replace("000002.", "000001.", 1)
    directory = tmp_path / "blobs" / "00001"
    (directory / Path(left.manifest).stem).rename(directory / Path(manifest).stem)
    fork = write_fork(store, source, trial=1, session=1, params={"lr": 2})
    assert Path(fork.manifest).name == manifest
    assert len(list((directory / Path(manifest).stem).iterdir())) == 1
    assert torch.equal(store.read(fork.manifest).tree["tracked"]["x"], backbone())


def test_equal_arrays_of_one_checkpoint_are_one_file_and_not_tied(tmp_path: Path) -> None:
    """Arrays that are equal by chance are stored once and come back apart; tied ones, tied."""
    store = CheckpointStore(tmp_path)
    tied = backbone()
    record = save(store, 1, a=tied, b=tied.clone(), c=tied, d=tied.view(512, 512).T)
    assert len(record.shared) == 1
    found = store.read(record.manifest).tree["tracked"]
    assert found["c"] is found["a"]
    found["a"][1] = 7
    assert found["d"][1, 0] == 7
    assert found["d"].stride() == (1, 512)
    assert torch.equal(found["b"], tied)


def test_overlapping_views_come_back_apart_and_right(tmp_path: Path) -> None:
    """Views of one storage that are not the same memory come back with their values."""
    store = CheckpointStore(tmp_path)
    flat = backbone()
    record = save(store, 1, flat=flat, part=flat[1:], other=flat[::2])
    found = store.read(record.manifest).tree["tracked"]
    assert torch.equal(found["part"], flat[1:])
    assert torch.equal(found["other"], flat[::2])


def test_deleting_gives_back_what_nobody_else_needs(tmp_path: Path) -> None:
    """A shared file goes with the last checkpoint that needs it, and not before."""
    store = CheckpointStore(tmp_path)
    first, second = save(store, 1, x=backbone()), save(store, 2, x=backbone())
    store.delete(first.manifest)
    store.read(second.manifest)
    assert len(pool_files(tmp_path)) == 1
    store.delete(second.manifest)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_sweep_removes_only_what_has_no_other_name(tmp_path: Path) -> None:
    """What a kill left in the pool goes; what a checkpoint needs stays shared."""
    store = CheckpointStore(tmp_path)
    kept, lost = save(store, 1, x=backbone()), save(store, 2, x=backbone(1))
    for path in (tmp_path / "blobs" / lost.manifest.removesuffix(".json")).iterdir():
        path.unlink()
    assert store.sweep_pool() > MIB
    assert store.sweep_pool() == 0
    assert len(pool_files(tmp_path)) == 1
    assert save(store, 3, x=backbone()).new_bytes < 10_000
    store.read(kept.manifest)


def test_damaged_entry_is_not_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not know a pool entry reads it first, and replaces it if it is bad."""
    store = CheckpointStore(tmp_path)
    save(store, 1, x=backbone())
    flip(pool_files(tmp_path)[0], 5000)
    monkeypatch.setattr(pool, "_trusted", set())  # as in another process
    second = save(store, 2, x=backbone())
    assert second.new_bytes > MIB
    assert torch.equal(store.read(second.manifest).tree["tracked"]["x"], backbone())
    third = save(store, 3, x=backbone())
    assert third.new_bytes < 10_000
    store.read(third.manifest)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EMLINK])
def test_without_hard_links_each_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Where the file system gives no second name, checkpoints are whole all the same."""

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    store = CheckpointStore(tmp_path)
    first = save(store, 1, x=backbone())
    monkeypatch.setattr(os, "link", refuse)
    if code == errno.EMLINK:  # the pool's own new name of a new file is never refused so
        monkeypatch.setattr(pool.Pool, "add", lambda *_: None)
    second = save(store, 2, x=backbone())
    assert second.new_bytes > MIB
    fork = store.fork(second.manifest, draft(2, trial=9, kind=Kind.FORK))
    assert fork.new_bytes > MIB
    for record in (first, second, fork):
        assert store.verify(record.manifest) == record


SAVER = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[3])
from checkpoint_maker import draft
from sweep.checkpoint.codec import encode
from sweep.checkpoint.store import CheckpointStore
store = CheckpointStore(Path(sys.argv[1]))
for epoch in range(60):
    tree = {"x": np.full(100_000, epoch // 3), "own": np.full(100_000, epoch + int(sys.argv[2]))}
    record = store.write(draft(epoch, trial=int(sys.argv[2])), encode(tree))
    if epoch % 2:
        store.delete(record.manifest)
"""


def test_two_savers_and_a_sweeper_at_once(tmp_path: Path) -> None:
    """Processes save and delete the same arrays while a third sweeps the pool: all is whole."""
    here = str(Path(__file__).parent)
    savers = [
        subprocess.Popen([sys.executable, "-c", SAVER, str(tmp_path), trial, here])
        for trial in ("1", "2")
    ]
    store = CheckpointStore(tmp_path)
    while any(saver.poll() is None for saver in savers):
        store.sweep_pool()
    assert [saver.returncode for saver in savers] == [0, 0]
    for trial in (1, 2):
        names = store.manifests(trial)
        assert len(names) == 30
        for name in names:
            found = store.read(name)
            assert np.array_equal(found.tree["x"], np.full(100_000, found.manifest.epoch // 3))
            store.delete(name)
    store.sweep_pool()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
