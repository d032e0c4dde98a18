"""SIGKILL while checkpoints are saved and deleted in a tight loop, in a real process."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sweep.checkpoint.store import CheckpointStore

WRITER = """
import sys
from pathlib import Path
import numpy as np
from sweep.checkpoint.codec import encode
from sweep.checkpoint.record import Kind
from sweep.checkpoint.saver import Saver
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.store import CheckpointStore

level = int(sys.argv[3]) if sys.argv[3:] else None
store, session = CheckpointStore(Path(sys.argv[1]), level=level), int(sys.argv[2])
known = []

def saved(record):
    sys.stdout.write(record.manifest + "\\n")
    sys.stdout.flush()
    known.append(record.manifest)
    if len(known) > 2:
        store.delete(known.pop(0))

saver = Saver(store, saved)
epoch = 0
while True:
    epoch += 1
    draft = Draft(trial=0, attempt=1, session=session, kind=Kind.PERIODIC, epoch=epoch,
                  global_step=0, step=epoch, parent=None, metrics={}, meta={})
    saver.save(draft, encode({"x": np.full(40_000, epoch), "epoch": epoch}))
"""


def kill_writer(root: Path, session: int, delay: float, *level: str) -> list[str]:
    """Manifests that a writer announced as durable before it was killed."""
    command = [sys.executable, "-c", WRITER, str(root), str(session), *level]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(delay)  # a random instant is what this test is about
        writer.kill()
        rest = writer.stdout.read()
    return [line for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[] if seed < 20 else [pytest.mark.long]) for seed in range(220)],
)
def test_killed_at_a_random_instant(tmp_path: Path, seed: int) -> None:
    """What has a manifest is whole, what was announced is there, all else is found as garbage."""
    store = CheckpointStore(tmp_path)
    packing = ["3"] if seed % 4 == 0 else []
    announced = kill_writer(tmp_path, 1, random.Random(seed).uniform(0, 0.08), *packing)
    present = store.manifests(0)
    for name in present:
        found = store.read(name)
        assert np.array_equal(found.tree["x"], np.full(40_000, found.tree["epoch"]))
        assert found.tree["epoch"] == found.manifest.epoch
        store.verify(name)
    assert present[-1] >= announced[-1].strip()

    for name in store.garbage(present[-1:], session=2):
        store.delete(name)
    store.sweep_pool()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3  # manifest, array, and its name in the pool
    store.read(present[-1])
