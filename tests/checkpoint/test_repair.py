"""Damage of every kind, in every file: found each time, and mended from another copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoint_maker import draft, flip

from sweep.checkpoint.blob import Written
from sweep.checkpoint.codec import encode
from sweep.checkpoint.record import CheckpointRecord, Content
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import CheckpointDamagedError, UsageError


class Directory:
    """A source: a plain copy of a store. ``asked`` holds the names it was asked for."""

    def __init__(self, root: Path) -> None:
        self.root, self.asked = root, list[str]()

    def fetch(self, name: str, expected: Written | None, target: Path) -> bool:
        self.asked.append(name)
        if not (self.root / name).is_file():
            return False
        shutil.copyfile(self.root / name, target)
        return True


@pytest.fixture(params=[None, 3], ids=["plain", "packed"])
def made(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[Path, CheckpointRecord, Directory]:
    """A store with one checkpoint of a large and a small array, packed or not, and a copy of it."""
    root = tmp_path / "store"
    tree = {"tracked": {"model": {"large": torch.arange(100_000.0), "small": torch.arange(9.0)}}}
    record = CheckpointStore(root, level=request.param).write(draft(1), encode(tree))
    shutil.copytree(root, tmp_path / "copy")
    return root, record, Directory(tmp_path / "copy")


def damaged(root: Path, record: CheckpointRecord) -> list[Path]:
    """The three files: manifest, small blob, large blob."""
    blobs = sorted((root / "blobs" / record.manifest.removesuffix(".json")).iterdir())
    return [
        root / "manifests" / record.manifest,
        *sorted(blobs, key=lambda path: path.stat().st_size),
    ]


DAMAGES: dict[str, Callable[[Path, bytes], object]] = {
    "truncated": lambda path, data: path.write_bytes(data[:-1]),
    "extended": lambda path, data: path.write_bytes(data + b"\0"),
    "emptied": lambda path, data: path.write_bytes(b""),
    "zeroed": lambda path, data: path.write_bytes(bytes(len(data))),
    "removed": lambda path, data: path.unlink(),
    "flipped": lambda path, data: flip(path, len(data) - 3),
}


@pytest.mark.parametrize("number", [0, 1, 2], ids=["manifest", "small", "large"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_mended(
    made: tuple[Path, CheckpointRecord, Directory], number: int, damage: str
) -> None:
    """Each kind of damage to each file is found, named, and mended from the source."""
    root, record, source = made
    path = damaged(root, record)[number]
    whole = path.read_bytes()
    DAMAGES[damage](path, whole)
    plain = CheckpointStore(root)
    for act in (plain.read, plain.verify):
        with pytest.raises(CheckpointDamagedError, match=path.name):
            act(record.manifest)
    mending = CheckpointStore(root, source)
    with pytest.raises(CheckpointDamagedError):
        mending.verify(record.manifest)  # only looks
    found = mending.read(record.manifest).tree["tracked"]["model"]
    assert torch.equal(found["large"], torch.arange(100_000.0))
    assert path.read_bytes() == whole
    assert plain.verify(record.manifest) == record
    assert not list(root.rglob(".*.tmp"))
    if number == 2:  # the pool has the good one again
        assert plain.write(draft(2), encode({"x": torch.arange(100_000.0)})).new_bytes < 10_000
        plain.read(plain.manifests(0)[-1])


def test_missing_name_is_mended_from_the_pool(
    made: tuple[Path, CheckpointRecord, Directory],
) -> None:
    """Without any source, a shared file that lost its name gets it back from the pool."""
    root, record, _ = made
    damaged(root, record)[2].unlink()
    store = CheckpointStore(root)
    assert store.verify(record.manifest, repair=True) == record
    assert store.verify(record.manifest) == record


@pytest.mark.parametrize("content", Content)
def test_missing_manifest_comes_back(tmp_path: Path, content: Content) -> None:
    """The manifest is found in the source under the name that its content gives it."""
    root, wanted = tmp_path / "store", replace(draft(1), content=content)
    record = CheckpointStore(root).write(wanted, encode({"tracked": {"x": torch.arange(3.0)}}))
    shutil.copytree(root, tmp_path / "copy")
    (root / "manifests" / record.manifest).unlink()
    store = CheckpointStore(root, Directory(tmp_path / "copy"))
    assert store.verify(record.manifest, repair=True) == record


def test_source_is_not_believed(made: tuple[Path, CheckpointRecord, Directory]) -> None:
    """What a source gives is verified: a damaged copy mends nothing and replaces nothing."""
    root, record, source = made
    for number, path in enumerate(damaged(root, record)):
        whole = path.read_bytes()
        flip(path, 40)
        for copy in source.root.rglob(path.name):
            flip(copy, 41)
        before = path.read_bytes()
        with pytest.raises(CheckpointDamagedError, match=path.name):
            CheckpointStore(root, source).read(record.manifest)
        assert path.read_bytes() == before, number
        path.write_bytes(whole)
    assert not list(root.rglob(".*.tmp"))


def test_manifest_of_another_checkpoint_is_not_believed(
    made: tuple[Path, CheckpointRecord, Directory],
) -> None:
    """A source that gives a whole manifest of something else is not believed."""
    root, record, source = made
    other = CheckpointStore(source.root).write(draft(7), encode({}))
    shutil.copyfile(
        source.root / "manifests" / other.manifest, source.root / "manifests" / record.manifest
    )
    (root / "manifests" / record.manifest).unlink()
    with pytest.raises(CheckpointDamagedError, match="is missing"):
        CheckpointStore(root, source).read(record.manifest)


def test_every_byte_counts(made: tuple[Path, CheckpointRecord, Directory]) -> None:
    """A flipped bit is found at every byte of manifest and small blob, and all over a large one."""
    root, record, _ = made
    store = CheckpointStore(root)
    for path in damaged(root, record):
        size = path.stat().st_size
        for place in range(0, size, 1 if size < 3_000 else size // 150):
            flip(path, place, place % 8)
            for act in (store.read, store.verify):
                with pytest.raises(CheckpointDamagedError, match=path.name):
                    act(record.manifest)
            flip(path, place, place % 8)
    store.read(record.manifest)


def test_quarantine_keeps_all_and_clears_the_pool(
    made: tuple[Path, CheckpointRecord, Directory],
) -> None:
    """A damaged checkpoint moves aside whole, its reason beside it, and no save links its files."""
    root, record, _ = made
    store = CheckpointStore(root)
    files = damaged(root, record)
    times = files[2].stat()
    flip(files[2], times.st_size - 3)
    os.utime(files[2], ns=(times.st_atime_ns, times.st_mtime_ns))  # a disk changes no times
    before = sorted(path.read_bytes() for path in files)
    place = store.quarantine(record.manifest, "a flipped bit")
    assert place == root / "quarantine" / record.manifest.removesuffix(".json")
    assert (place / "reason.txt").read_text() == "a flipped bit\n"
    kept = [path for path in place.rglob("*") if path.is_file() and path.name != "reason.txt"]
    assert sorted(path.read_bytes() for path in kept) == before
    assert store.manifests(0) == []
    assert store.quarantine(record.manifest) == place
    again = store.write(draft(2), encode({"x": torch.arange(100_000.0)}))
    assert again.new_bytes > 400_000
    store.read(again.manifest)


def test_components_open_only_what_they_need(tmp_path: Path) -> None:
    """Only the files of the components that were asked for are read; all of it is verified."""
    store = CheckpointStore(tmp_path)
    model = {f"layers.{n}.weight": torch.full((70_000,), float(n)) for n in range(3)}
    optimizer = {"state": {0: {"exp_avg": torch.full((70_000,), 9.0)}}, "param_groups": [{"lr": 1}]}
    tree = {"tracked": {"model": model | {"bias": torch.ones(3)}, "optimizer": optimizer}}
    captured = encode(tree["tracked"])  # with the paths that a session gives
    record = store.write(
        draft(2), type(captured)({"tracked": captured.skeleton, "rng": 1}, captured.arrays)
    )
    found = store.read(record.manifest, ["model.layers.1*"]).tree
    assert found.keys() == {"tracked"}
    assert list(found["tracked"]["model"]) == ["layers.1.weight"]
    for path in (tmp_path / "blobs" / record.manifest.removesuffix(".json")).iterdir():
        if path.stat().st_size < 1000:
            path.unlink()  # the small arrays
    assert torch.equal(
        store.read(record.manifest, ["optimizer.state"]).tree["tracked"]["optimizer"]["state"][0][
            "exp_avg"
        ],
        torch.full((70_000,), 9.0),
    )
    with pytest.raises(CheckpointDamagedError, match=r"state\.safetensors"):
        store.read(record.manifest, ["model"])
    with pytest.raises(UsageError, match="'modle'; it holds model, optimizer"):
        store.read(record.manifest, ["modle"])
