"""A checkpoint of several processes: all parts or nothing, whoever is killed, and whenever."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_maker import draft
from system_call import at_call

from sweep.checkpoint.codec import Captured, encode
from sweep.checkpoint.fork import write_fork
from sweep.checkpoint.part import RankStore
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import CheckpointError

SIZE = 40_000  # of float64: more than what is shared at least


def state(rank: int) -> Captured:
    """What a rank has: something large in common, something large of its own, something small."""
    tree = {"same": np.zeros(SIZE), "own": np.full(SIZE, rank), "small": np.full(5, rank)}
    return encode(tree, f"rank {rank}" if rank else "")


def save(
    root: Path,
    act: Callable[[Callable[[], Any]], Any] = lambda save: save(),
    level: int | None = None,
) -> Any:
    """Save with two processes; ``act`` is what the second one does with its part of it."""
    ours, theirs = Pipe()
    store = CheckpointStore(root, level=level)
    child = os.fork()
    if not child:
        ours.close()
        try:
            act(lambda: RankStore(store, 1, [theirs]).write(draft(1), state(1)))
        finally:
            os._exit(0)
    theirs.close()
    try:
        return RankStore(store, 0, [ours]).write(draft(1), state(0))
    finally:
        os.waitpid(child, 0)


def check_whole(store: CheckpointStore, manifest: str) -> None:
    for rank in (0, 1):
        tree = store.read(manifest, rank=rank).tree
        for name, expected in (("same", 0), ("own", rank), ("small", rank)):
            assert (tree[name] == expected).all(), (rank, name)


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("level", [None, 3], ids=["plain", "packed"])
def test_parts_make_one_checkpoint(tmp_path: Path, level: int | None) -> None:
    """Each rank reads its own part back; what both have is one file, and counted once."""
    record = save(tmp_path, level=level)
    store = CheckpointStore(tmp_path)
    check_whole(store, record.manifest)
    assert len(record.shared) == 3
    assert record.bytes == record.new_bytes < 4 * SIZE * 8
    stem = record.manifest.removesuffix(".json")
    names = {path.name for path in (tmp_path / "blobs" / stem).iterdir()}
    assert len(names) == 5, "three large files, and one with small arrays for each rank"
    suffix = ".safetensors" if level is None else ".safetensors.zst"
    assert {f"state.{rank}{suffix}" for rank in (0, 1)} <= names
    assert not list((tmp_path / "blobs").glob("*/*.rank*"))


def test_a_fork_has_all_parts(tmp_path: Path) -> None:
    """A trial that begins with the checkpoint of another has what each rank saved."""
    record = save(tmp_path)
    store = CheckpointStore(tmp_path)
    fork = write_fork(store, record, trial=9, session=2, params={})
    store.delete(record.manifest)
    check_whole(store, fork.manifest)


def killed_at(number: int, reached: Any) -> Callable[[Callable[[], Any]], None]:
    def act(write: Callable[[], CheckpointRecord]) -> None:
        with at_call(number, lambda name: os.kill(os.getpid(), signal.SIGKILL)):
            write()
        os.write(reached, b".")

    return act


@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.long)])
def test_a_rank_killed_at_any_call_leaves_all_or_nothing(tmp_path: Path, stride: int) -> None:
    """SIGKILL of rank 1 before each system call of its part: a whole checkpoint or no manifest."""
    read, reached = os.pipe()
    os.set_blocking(read, False)
    outcomes, store_s_fault = list[bool](), False
    for number in range(1, 200, stride):
        root = tmp_path / str(number)
        try:
            record = save(root, killed_at(number, reached))
        except CheckpointError as error:
            store_s_fault = store_s_fault or error.__cause__ is not None
            assert not list((root / "manifests").glob("*/*"))
            store = CheckpointStore(root)
            for name in store.garbage([], session=99):
                store.delete(name)
            store.sweep_pool()
            assert not files(root)
            outcomes.append(False)
        else:
            check_whole(CheckpointStore(root), record.manifest)
            outcomes.append(True)
        try:
            os.read(read, 1)
        except BlockingIOError:
            continue
        break
    os.close(read)
    os.close(reached)
    assert not store_s_fault
    assert len(outcomes) > 5
    assert False in outcomes
    assert outcomes == sorted(outcomes), "once its part was durable it stays so"


@pytest.mark.parametrize("refused", [0, 1])
def test_a_refusal_is_every_ranks(tmp_path: Path, refused: int) -> None:
    """A full disk at one rank: each raises it, as an error of the system, and nothing is left."""

    class Full(CheckpointStore):
        def write_part(self, manifest: str, rank: int, captured: Captured) -> Any:
            part = super().write_part(manifest, rank, captured)
            if rank == refused:
                raise CheckpointError("no space") from OSError(errno.ENOSPC, "no space")
            return part

    pipes, errors = Pipe(), dict[int, Any]()

    def write(rank: int) -> None:
        try:
            RankStore(Full(tmp_path), rank, [pipes[rank]]).write(draft(1), state(rank))
        except CheckpointError as error:
            errors[rank] = error.__cause__

    other = threading.Thread(target=write, args=(1,))
    other.start()
    write(0)
    other.join(60)
    assert {rank: cause.errno for rank, cause in errors.items()} == dict.fromkeys(
        (0, 1), errno.ENOSPC
    )
    CheckpointStore(tmp_path).delete(draft(1).manifest)
    CheckpointStore(tmp_path).sweep_pool()
    assert not files(tmp_path)
