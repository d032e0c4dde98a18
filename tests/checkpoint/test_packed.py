"""Packed files in the store: smaller, the same to the bit, and side by side with plain ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_maker import draft, flip, inodes

from sweep.checkpoint import pool
from sweep.checkpoint.audit import Auditor
from sweep.checkpoint.blob import CODES, OpenBlob, Written
from sweep.checkpoint.budget import Ledger
from sweep.checkpoint.codec import encode
from sweep.checkpoint.compression import SUFFIX, pack
from sweep.checkpoint.digest import digest_of
from sweep.checkpoint.record import CheckpointRecord, Kind
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import CheckpointDamagedError

LARGE = 300_000  # bytes: more than what is shared at least
DTYPES = [getattr(torch, name) for name in CODES]


def weights(seed: int = 0, count: int = LARGE) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


def save(store: CheckpointStore, epoch: int, /, **tree: Any) -> CheckpointRecord:
    return store.write(draft(epoch), encode(tree))


def names(root: Path) -> set[str]:
    """Names of the files of arrays, in the pool and in checkpoints."""
    return {path.name for path in root.rglob("*.safetensors*")}


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("size", [24, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("level", [1, 19])
def test_every_dtype_comes_back_to_the_bit(tmp_path: Path, size: int, level: int) -> None:
    """Any bytes, NaN and all, of every dtype, in a file of their own or beside others."""
    noise = torch.frombuffer(bytearray(np.random.default_rng(0).bytes(size)), dtype=torch.uint8)
    tree = {
        str(dtype): noise % 2 == 1 if dtype is torch.bool else noise.roll(place).view(dtype)
        for place, dtype in enumerate(DTYPES)
    }
    record = CheckpointStore(tmp_path, level=level).write(draft(1), encode(tree))
    assert all(name.endswith(SUFFIX) for name in names(tmp_path))
    found = CheckpointStore(tmp_path).read(record.manifest).tree
    for key, tensor in tree.items():
        assert found[key].dtype == tensor.dtype
        assert bits(found[key]) == bits(tensor)


def test_a_packed_checkpoint_is_smaller_and_says_so(tmp_path: Path) -> None:
    """Its record counts what its files take on the disk."""
    tree = {"large": weights(), "tied": weights(), "small": torch.arange(9.0)}
    plain = CheckpointStore(tmp_path / "plain").write(draft(1), encode(tree))
    store = CheckpointStore(tmp_path / "packed", level=3)
    packed = store.write(draft(1), encode(tree))
    assert packed.bytes < 0.9 * plain.bytes
    files = [path for path in (tmp_path / "packed").rglob("*") if path.is_file()]
    on_disk = sum({path.stat().st_ino: path.stat().st_size for path in files}.values())
    assert packed.bytes == packed.new_bytes == on_disk
    assert store.verify(packed.manifest) == packed


@pytest.mark.parametrize("first", [None, 3], ids=["plain", "packed"])
def test_savers_that_pack_and_that_do_not_share(tmp_path: Path, first: int | None) -> None:
    """What is there in either form is linked, and not written in the other."""
    other = 3 if first is None else None
    tree = {"body": weights(), "again": weights()}
    older = CheckpointStore(tmp_path, level=first).write(draft(1), encode(tree))
    before = sum(inodes(tmp_path).values())
    newer = CheckpointStore(tmp_path, level=other).write(draft(2), encode(tree))
    assert newer.new_bytes < 10_000
    assert sum(inodes(tmp_path).values()) - before <= 8192
    assert newer.shared == older.shared
    ledger = Ledger([older, newer])
    assert ledger.total == older.bytes + newer.new_bytes
    CheckpointStore(tmp_path).delete(older.manifest)
    assert torch.equal(CheckpointStore(tmp_path).read(newer.manifest).tree["again"], weights())
    CheckpointStore(tmp_path).delete(newer.manifest)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_both_forms_of_one_array_are_two_files(tmp_path: Path) -> None:
    """Where a race has made both, each is counted, and goes with the last that needs it."""
    store = CheckpointStore(tmp_path / "a", level=3)
    record = save(store, 1, x=weights())
    other = save(CheckpointStore(tmp_path / "b"), 2, x=weights())
    assert Ledger([record, other]).total == record.bytes + other.bytes
    (plain,) = (tmp_path / "b" / "pool").rglob("*.safetensors")
    beside = next((tmp_path / "a" / "pool").rglob("*.zst")).with_name(plain.name)
    beside.hardlink_to(plain)
    newer = save(store, 3, x=weights())
    assert newer.shared == record.shared, "its own form is preferred"
    store.delete(record.manifest)
    store.delete(newer.manifest)
    assert names(tmp_path / "a") == {plain.name}
    plain.unlink()
    CheckpointStore(tmp_path / "b").delete(other.manifest)
    assert store.sweep_pool() > 0
    assert not names(tmp_path / "a")


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    """Packed files of other components may be gone."""
    store = CheckpointStore(tmp_path, level=3)
    captured = encode({"model": weights(), "optimizer": weights(1)})
    skeleton = {"tracked": captured.skeleton}
    record = store.write(draft(1), type(captured)(skeleton, captured.arrays))
    blobs = store.read(record.manifest).manifest.blobs
    (optimizer,) = (blob for blob in blobs if "optimizer" in blob.arrays)
    (tmp_path / "blobs" / optimizer.path).unlink()
    found = store.read(record.manifest, ["model"]).tree
    assert torch.equal(found["tracked"]["model"], weights())
    with pytest.raises(CheckpointDamagedError, match=f"{optimizer.path}: is missing"):
        store.read(record.manifest)


def test_a_fork_links_packed_files(tmp_path: Path) -> None:
    """A fork of a packed checkpoint costs a manifest, whatever the setting is now."""
    source = save(CheckpointStore(tmp_path, level=3), 1, x=weights(), small=torch.ones(3))
    store = CheckpointStore(tmp_path)
    fork = store.fork(source.manifest, draft(1, kind=Kind.FORK, trial=9))
    assert fork.new_bytes < 10_000
    assert (fork.shared, store.verify(fork.manifest)) == (source.shared, fork)
    store.delete(source.manifest)
    assert torch.equal(store.read(fork.manifest).tree["x"], weights())


def test_a_damaged_packed_entry_is_not_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that does not know a packed pool entry unpacks it before it shares it."""
    store = CheckpointStore(tmp_path, level=3)
    save(store, 1, x=weights())
    (entry,) = (tmp_path / "pool").rglob("*.zst")
    flip(entry, 5000)
    monkeypatch.setattr(pool, "_trusted", set())  # as in another process
    second = save(store, 2, x=weights())
    assert second.new_bytes > 1_000_000
    assert torch.equal(store.read(second.manifest).tree["x"], weights())


@pytest.mark.parametrize("damage", ["flipped", "truncated", "extended", "none"])
def test_quarantine_expels_what_is_damaged_only(tmp_path: Path, damage: str) -> None:
    """A packed entry stays in the pool where it is whole, and leaves it where it is not."""
    store = CheckpointStore(tmp_path, level=3)
    record = save(store, 1, x=weights())
    (entry,) = (tmp_path / "pool").rglob("*.zst")
    if damage == "flipped":
        flip(entry, 7)  # in what it says of its size
    elif damage == "truncated":
        with entry.open("r+b") as file:
            file.truncate(5)
    elif damage == "extended":
        with entry.open("ab") as file:
            file.write(b"x")
    store.quarantine(record.manifest)
    assert entry.exists() == (damage == "none")


def test_the_auditor_unpacks_each_file_once(tmp_path: Path) -> None:
    """Packed files are held against their manifests, shared ones once; damage is named."""
    store = CheckpointStore(tmp_path, level=3)
    records = [save(store, epoch, x=weights(), epoch=torch.ones(epoch)) for epoch in (1, 2)]
    auditor = Auditor(tmp_path)
    assert [auditor.flaws(record) for record in records] == [[], []]
    assert auditor.bytes == records[0].bytes + records[1].new_bytes
    (entry,) = (tmp_path / "pool").rglob("*.zst")
    flip(entry, entry.stat().st_size - 1)
    (flaw,) = Auditor(tmp_path).flaws(records[1])
    assert flaw.path.name == entry.name
    assert "its content is not what was saved" in flaw.problem


@pytest.mark.parametrize(
    "raw", [b"", bytes(8), b"\xff" * 64, b"\x10" + bytes(7) + b"[" * 16, b"\x02" + bytes(7) + b"[]"]
)
def test_hostile_content_only_raises(tmp_path: Path, raw: bytes) -> None:
    """A whole packed file of the right digest that holds no arrays is refused like a plain one."""
    path = tmp_path / "x"
    path.write_bytes(b"".join(pack([raw], len(raw), 1, 3)))
    written = Written(len(raw), digest_of(raw), packed=path.stat().st_size)
    with OpenBlob(path) as file, pytest.raises(CheckpointDamagedError, match=str(path)):
        file.read(written)


def test_a_file_that_holds_more_than_the_manifest_says_is_refused(tmp_path: Path) -> None:
    """Before a byte of it comes out: what it would grow to is not believed."""
    path = tmp_path / "x"
    path.write_bytes(b"".join(pack([bytes(1 << 24)], 1 << 24, 1, 3)))
    for act in ("read", "check"):
        with OpenBlob(path) as file, pytest.raises(CheckpointDamagedError, match="instead of 100"):
            getattr(file, act)(Written(100, "0" * 64, packed=path.stat().st_size))
