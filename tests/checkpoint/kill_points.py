"""A program: save, share, delete, fork and quarantine, killed at each system call in turn.

``python kill_points.py DIRECTORY [LEVEL]`` tries every point, and prints how many there were. With
a level files are packed. It forks for each point: the child works and is killed, the parent looks
at what it left.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pyarrow  # noqa: F401  before the forks, so that its own files are not counted
from checkpoint_maker import draft
from system_call import at_call

from sweep.checkpoint.codec import encode
from sweep.checkpoint.record import Kind
from sweep.checkpoint.store import CheckpointStore

SIZE = 40_000  # of float64: more than what is shared at least


def state(epoch: int) -> dict[str, object]:
    return {"frozen": np.zeros(SIZE), "own": np.full(SIZE, epoch), "small": np.full(5, epoch)}


def work(store: CheckpointStore, say: int) -> None:
    first = store.write(draft(1), encode(state(1))).manifest
    os.write(say, f"+{first}\n".encode())
    second = store.write(draft(2), encode(state(2))).manifest
    os.write(say, f"+{second}\n".encode())
    os.write(say, f"-{first}\n".encode())  # as a journal does: first it is said, then done
    store.delete(first)
    fork = store.fork(second, draft(2, trial=1, kind=Kind.FORK)).manifest
    os.write(say, f"+{fork}\n".encode())
    os.write(say, f"-{second}\n".encode())
    store.quarantine(second, "a test")
    os.write(say, b"done\n")


def killed_at(root: Path, number: int, level: int | None) -> list[str]:
    """What the child had said when it was killed before its ``number``-th call."""
    read, say = os.pipe()
    child = os.fork()
    if not child:
        with at_call(number, lambda name: os.kill(os.getpid(), signal.SIGKILL)):
            work(CheckpointStore(root, level=level), say)
        os._exit(0)
    os.close(say)
    with open(read) as file:  # noqa: PTH123  a descriptor
        said = file.read().splitlines()
    os.waitpid(child, 0)
    return said


def check(root: Path, said: list[str]) -> None:
    """What was said to be durable is whole, what else has a manifest too, and no more is left."""
    store = CheckpointStore(root)
    known = {line[1:] for line in said if line[0] == "+"}
    known -= {line[1:] for line in said if line[0] == "-"}
    present = {name for trial in (0, 1) for name in store.manifests(trial)}
    assert known <= present, (known, present)
    for name in present:
        found = store.read(name)
        expected = state(found.manifest.epoch)
        for key, value in found.tree.items():
            assert np.array_equal(value, expected[key]), (name, key)
    for name in store.garbage(known, session=2):
        store.delete(name)
    store.sweep_pool()
    left = {path for path in root.rglob("*") if path.is_file()}
    left -= set((root / "quarantine").rglob("*"))
    stems = [name.removesuffix(".json") for name in known]
    expected_files = {root / "manifests" / name for name in known}
    expected_files |= {path for stem in stems for path in (root / "blobs" / stem).iterdir()}
    in_use = {path.stat().st_ino for path in root.rglob("*") if "pool" not in path.parts}
    pooled = {path for path in left if "pool" in path.parts}
    assert all(path.stat().st_ino in in_use for path in pooled), pooled
    assert left - pooled == expected_files, left - pooled ^ expected_files
    for path in (root / "quarantine").rglob(".*"):
        raise AssertionError(path)


def main(base: Path, level: int | None = None) -> int:
    number, said = 0, [""]
    while said[-1:] != ["done"]:
        number += 1
        said = killed_at(base / "store", number, level)
        check(base / "store", said)
        shutil.rmtree(base / "store", ignore_errors=True)
    return number - 1


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))  # noqa: T201
