"""What is synced when in a save, and how many files are open."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_maker import draft

from sweep import fsio
from sweep.checkpoint import hint, writer
from sweep.checkpoint.codec import encode
from sweep.checkpoint.store import CheckpointStore

Call = tuple[str, str]


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Call]]:
    """The calls that decide what is durable, in their order; all of them are made."""
    calls: list[Call] = []

    def watch(module: Any, name: str, path: Any) -> None:
        real = getattr(module, name)

        def call(*given: Any) -> Any:
            result = real(*given)
            calls.append((name, path(*given)))
            assert name != "_sync_file_range" or result == 0
            return result

        monkeypatch.setattr(module, name, call)

    def opened(descriptor: int, *_: Any) -> str:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())

    watch(os, "fsync", opened)
    watch(hint, "_sync_file_range", opened)
    watch(os, "write", opened)
    watch(os, "link", lambda source, target: str(target))
    watch(os, "replace", lambda source, target: str(target))
    yield calls
    monkeypatch.undo()


@pytest.mark.parametrize("unsynced", [2, 64])
def test_all_is_durable_before_others_can_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unsynced: int
) -> None:
    """Files are synced after their last write, before the pool has them, and before the manifest.

    So are the names of the files, and that of their directory.
    """
    monkeypatch.setattr(writer, "_OPEN", unsynced)
    store = CheckpointStore(tmp_path)
    store.write(draft(1), encode({"x": np.zeros(3)}))
    tree = {str(number): np.full(40_000, number) for number in range(5)} | {"x": np.ones(3)}
    with recorded(monkeypatch) as calls:
        record = store.write(draft(2), encode(tree))
    place = {call: index for index, call in enumerate(calls)}  # the last one of a kind counts
    manifest = tmp_path / "manifests" / record.manifest
    seen = place["replace", str(manifest)]
    directory = tmp_path / "blobs" / record.manifest.removesuffix(".json")
    files = list(directory.iterdir())
    assert len(files) == 6
    for file in files:
        synced = place["fsync", str(file)]
        assert place["write", str(file)] < synced < place["fsync", str(directory)] < seen
        if file.name != "state.safetensors":
            assert place["_sync_file_range", str(file)] < synced
            entry = tmp_path / "pool" / file.name[:2] / file.name
            assert synced < place["link", str(entry)] < seen
    assert place["fsync", str(directory)] < place["fsync", str(directory.parent)] < seen
    assert place["fsync", str(fsio.temporary_name(manifest))] < seen
    assert seen < place["fsync", str(manifest.parent)]
    syncs = [path for name, path in calls if name == "fsync"]
    assert len(syncs) == len(files) + 4  # the manifest and three directories: none twice


def test_parts_are_in_their_place_before_they_are_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What several processes wrote is synced by each, and under its last name before the commit."""
    store, commit = CheckpointStore(tmp_path), draft(1)
    parts = []
    with recorded(monkeypatch) as calls:
        for rank in (0, 1):
            root = f"rank {rank}" if rank else ""
            captured = encode({"own": np.full(40_000, rank), "x": np.full(3, rank)}, root)
            parts.append(store.write_part(commit.manifest, rank, captured))
        written = len(calls)
        record = store.commit_parts(commit, parts)
    synced = {path for name, path in calls[:written] if name == "fsync"}
    for part in parts:
        assert {str(tmp_path / "blobs" / blob.path) for blob in part.blobs} <= synced
    place = {call: index for index, call in enumerate(calls)}
    directory = tmp_path / "blobs" / record.manifest.removesuffix(".json")
    manifest = tmp_path / "manifests" / record.manifest
    assert place["fsync", str(directory)] < place["replace", str(manifest)]


def test_many_large_arrays_need_few_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save of more files than the process may open is made, and read, on a slow disk, too."""
    sync = os.fsync

    def slow(file: int) -> None:
        time.sleep(0.003)  # the disk; meanwhile the other thread writes on
        sync(file)

    monkeypatch.setattr(os, "fsync", slow)
    store, count = CheckpointStore(tmp_path), 150
    tree = {str(number): np.full(33_000, number) for number in range(count)}
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 90, limits[1]))
    try:
        record = store.write(draft(1), encode(tree))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(record.shared) == count
    found = store.read(record.manifest).tree
    assert all(bool((found[name] == tree[name]).all()) for name in tree)
