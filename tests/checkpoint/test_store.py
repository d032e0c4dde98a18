"""Checkpoints on a real disk: whole or not there, and damage is always found."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from checkpoint_maker import flip

from sweep.checkpoint.blob import Array, OpenBlob, Written
from sweep.checkpoint.codec import encode
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.record import CheckpointRecord, Kind
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import CheckpointDamagedError, CheckpointError


def draft(epoch: int, *, trial: int = 3, session: int = 1, attempt: int = 1) -> Draft:
    return Draft(
        trial=trial,
        attempt=attempt,
        session=session,
        kind=Kind.PERIODIC,
        epoch=epoch,
        global_step=10 * epoch,
        step=epoch - 1,
        parent=None,
        metrics={"loss": 1.0 / epoch},
        meta={},
    )


def write(store: CheckpointStore, epoch: int, **fields: int) -> CheckpointRecord:
    captured = encode({"w": torch.full((100,), float(epoch)), "epoch": epoch})
    return store.write(draft(epoch, **fields), captured)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_write_and_read(tmp_path: Path) -> None:
    """What was written is read again; the record is that of the files."""
    store = CheckpointStore(tmp_path)
    record = write(store, 7)
    found = store.read(record.manifest)
    assert torch.equal(found.tree["w"], torch.full((100,), 7.0))
    assert found.manifest.id == record.id == "3@7.70"
    assert store.verify(record.manifest) == record
    assert record.bytes == sum((tmp_path / name).stat().st_size for name in files(tmp_path))


def test_no_arrays_no_blob(tmp_path: Path) -> None:
    """A state without arrays is one file."""
    store = CheckpointStore(tmp_path)
    record = store.write(draft(1), encode({"epoch": 1}))
    assert files(tmp_path) == {f"manifests/{record.manifest}"}
    assert store.read(record.manifest).tree == {"epoch": 1}


def test_damage_anywhere_in_the_blob_is_found(tmp_path: Path) -> None:
    """A flipped bit at any byte of the blob is found and names the file."""
    store = CheckpointStore(tmp_path)
    record = write(store, 1)
    (blob,) = (tmp_path / "blobs").rglob("*.safetensors")
    whole = blob.read_bytes()
    for place in range(len(whole)):
        blob.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CheckpointDamagedError, match=r"state\.safetensors"):
            store.read(record.manifest)
    blob.write_bytes(whole)
    store.read(record.manifest)


@pytest.mark.parametrize("part", ["manifests", "blobs"])
@pytest.mark.parametrize("damage", ["truncated", "extended", "emptied", "zeroed", "removed", "dir"])
def test_damaged_file_is_found(tmp_path: Path, part: str, damage: str) -> None:
    """A file that is cut, grown, emptied, zeroed, gone or no file is damage, and is named."""
    store = CheckpointStore(tmp_path)
    record = write(store, 1)
    (path,) = (file for file in (tmp_path / part).rglob("*") if file.is_file())
    data = path.read_bytes()
    path.unlink()
    if damage == "dir":
        path.mkdir()
    elif damage != "removed":
        path.write_bytes(
            {
                "truncated": data[:-1],
                "extended": data + b"\0",
                "emptied": b"",
                "zeroed": bytes(len(data)),
            }[damage]
        )
    for act in (store.read, store.verify):
        with pytest.raises(CheckpointDamagedError, match=path.name):
            act(record.manifest)


def test_blob_outside_the_store_is_refused(tmp_path: Path) -> None:
    """A manifest cannot make the reader open a file elsewhere."""
    from sweep.checkpoint.blob import Written
    from sweep.checkpoint.manifest import Blob, Manifest, dump

    manifest = Manifest(
        id="3@1.10", trial=3, attempt=1, session=1, kind=Kind.STOP, epoch=1, global_step=10,
        step=0, saved=0.0, parent=None, metrics={}, meta={}, skeleton=None,
        blobs=(Blob(path="../../secret", written=Written(0, "0" * 64)),),
    )  # fmt: skip
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "x.json").write_bytes(dump(manifest))
    with pytest.raises(CheckpointDamagedError, match="outside the store"):
        CheckpointStore(tmp_path).read("x.json")


@pytest.mark.parametrize("part", ["manifests", "blobs"])
def test_failed_write_leaves_nothing(tmp_path: Path, part: str) -> None:
    """A write that the system refuses raises with the path, and harms no older checkpoint."""
    store = CheckpointStore(tmp_path)
    older = write(store, 1, trial=2)
    before = files(tmp_path)
    (tmp_path / part).mkdir(exist_ok=True)
    (tmp_path / part / "00003").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"checkpoint 3@2\.20 cannot be saved: .*00003"):
        write(store, 2)
    (tmp_path / part / "00003").unlink()
    assert files(tmp_path) == before
    store.read(older.manifest)


def test_delete(tmp_path: Path) -> None:
    """A deleted checkpoint leaves no file; deleting it again, or what never was, is no error."""
    store = CheckpointStore(tmp_path)
    kept, gone = write(store, 1), write(store, 2)
    before = files(tmp_path)
    store.delete(gone.manifest)
    store.delete(gone.manifest)
    assert before - files(tmp_path) == {
        f"manifests/{gone.manifest}",
        f"blobs/{gone.manifest.removesuffix('.json')}/state.safetensors",
    }
    store.read(kept.manifest)


def test_garbage_is_what_older_sessions_left_unrecorded(tmp_path: Path) -> None:
    """Unrecorded files of earlier sessions are garbage, in each half-written form; no others."""
    store = CheckpointStore(tmp_path)
    known = write(store, 1, session=1)
    whole = write(store, 2, session=1)
    blob_only = write(store, 3, session=2)
    (tmp_path / "manifests" / blob_only.manifest).unlink()
    torn = write(store, 4, session=2)
    path = tmp_path / "manifests" / torn.manifest
    path.rename(path.with_name(f".{path.name}.77.tmp"))
    current = write(store, 5, session=3)

    garbage = store.garbage([known.manifest], session=3)
    assert garbage == [whole.manifest, blob_only.manifest, torn.manifest]
    for name in garbage:
        store.delete(name)
    assert store.garbage([known.manifest], session=3) == []
    assert {name for name in files(tmp_path) if name.startswith("manifests")} == {
        f"manifests/{known.manifest}",
        f"manifests/{current.manifest}",
    }
    store.read(known.manifest)
    store.read(current.manifest)


def test_empty_store(tmp_path: Path) -> None:
    """A store that does not exist yet has no garbage and no checkpoints."""
    store = CheckpointStore(tmp_path / "none")
    assert store.garbage([], session=9) == []
    assert store.manifests(3) == []
    with pytest.raises(CheckpointDamagedError, match="missing"):
        store.read("00003/x.json")


def test_manifests_in_order_of_position(tmp_path: Path) -> None:
    """The manifests of a trial are listed in the order of its steps, not of its names' text."""
    store = CheckpointStore(tmp_path)
    for epoch in (10, 9, 100):
        write(store, epoch)
    write(store, 1, trial=4)
    epochs = [store.read(name).manifest.epoch for name in store.manifests(3)]
    assert epochs == [9, 10, 100]


def test_what_is_being_read_may_be_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files are open before the first is read: a retention that comes between does no harm."""
    store = CheckpointStore(tmp_path)
    tree = {"large": torch.arange(90_000), "other": torch.ones(90_000), "small": torch.arange(3)}
    record = store.write(draft(1), encode(tree))
    real = OpenBlob.read

    def read(self: OpenBlob, expected: Written) -> dict[str, Array]:
        store.delete(record.manifest)
        return real(self, expected)

    monkeypatch.setattr(OpenBlob, "read", read)
    found = store.read(record.manifest).tree
    assert all(torch.equal(found[name], value) for name, value in tree.items())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture
def few_files() -> Iterator[Callable[[int], None]]:
    """The process holds hundreds of files, and is left room for so many more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as held:
        for _ in range(200):
            held.enter_context(Path("/dev/null").open())

        def leave(room: int) -> None:
            with Path("/dev/null").open() as first_free:
                resource.setrlimit(resource.RLIMIT_NOFILE, (first_free.fileno() + room, hard))

        yield leave
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_too_many_open_files_are_no_damage(
    tmp_path: Path, few_files: Callable[[int], None]
) -> None:
    """Where the process holds many files itself, a restore makes do with the rest."""
    store = CheckpointStore(tmp_path)
    tree = {f"a{each}": torch.full((70_000,), float(each)) for each in range(40)}
    record = store.write(draft(1), encode(tree))
    few_files(20)
    found = store.read(record.manifest).tree
    assert all(torch.equal(found[name], value) for name, value in tree.items())
    few_files(0)
    for act in (store.read, store.resume, store.verify, store.record):
        with pytest.raises(CheckpointError, match="Too many open files") as caught:
            act(record.manifest)
        assert not isinstance(caught.value, CheckpointDamagedError)
        assert isinstance(caught.value.__cause__, OSError)


def test_the_rest_is_not_read_where_one_file_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial that must go on from an older checkpoint does not wait for all of a newer one."""
    store = CheckpointStore(tmp_path)
    tree = {f"a{each}": torch.full((1_000_000,), float(each)) for each in range(20)}
    record = store.write(draft(1), encode(tree))
    manifest = json.loads((tmp_path / "manifests" / record.manifest).read_bytes())
    first = Path(manifest["blobs"][0]["path"])
    flip(tmp_path / "blobs" / first, 200)
    read, real = [], os.preadv

    def preadv(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        read.append(real(descriptor, buffers, offset))
        return read[-1]

    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(CheckpointDamagedError, match=first.name):
        store.read(record.manifest)
    assert sum(read) < record.bytes / 2
