"""Saving and restoring a model with Adam, beside what else there is, in one run.

``python benchmarks/checkpoint.py [--small] [--repeat N]``: an MLP of 25 M parameters (300 MB with
Adam), and without ``--small`` one of 100 M (1.2 GB). The table gives medians, and the median over
the rounds of the ratio, within a round, to one copy of the state into used memory (blocked), to a
plain write and sync of its bytes to one file (durable), or to ``torch.load`` (restore).

Fair to all: each round takes the ways in another order (seeded). Before each, the state changes,
what the one before has written is removed, and the file system is synced, so that each has a new
file, the same free blocks and nothing that waits to be written. A round before the first is not
counted; memory for copies is warm. A restore is timed in a process of its own, as after a kill,
with the page cache warm; "again" is the second one in that process, when malloc has memory at hand
that was used before. Load by others hits whole rounds: ``others`` is the share of a core that the
programs of others took in the median round.

After it, the disk space of ten forks and of ten trials with one frozen backbone, blocks of each
inode counted once.

On two cores with a disk of 1.1 GB/s and nobody else on the machine, medians of 5, as ratios:

======================= ========= ========= =====
.                       300 MB    1.2 GB    goal
======================= ========= ========= =====
blocked, to one copy    1.05      1.02      1.25
durable, to plain write 0.64      0.88      1.3
first restore           0.60      0.50      1.0
restore again           0.84      0.59      1.0
======================= ========= ========= =====

``torch.save`` with its sync took 1.95 and 2.33 times the plain write. A save is faster than one
plain write since two threads fill the page cache while the disk is already at work. With SHA-256
instead of BLAKE3, which hashes 4.2 times as fast on one core here, a save was durable after 1.3
times the plain write, and a restore took about as long as ``torch.load``.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file

from sweep.checkpoint.buffer import Buffers
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.encoder import Captured, Encoder
from sweep.checkpoint.record import Kind
from sweep.checkpoint.store import CheckpointStore

WIDTHS = {25: 2500, 100: 5000}
LAYERS = 4
MB = 1e6


def make_state(millions: int) -> dict[str, Any]:
    """The state of an MLP and Adam after a step, every number of it another one."""
    width = WIDTHS[millions]
    model = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(LAYERS)))
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


def flat(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    found = dict(state["model"])
    for number, entry in state["optimizer"]["state"].items():
        found |= {f"{number}.{name}": value for name, value in entry.items()}
    return found


def change(tensors: dict[str, torch.Tensor]) -> None:
    """One training step, as far as saving goes: nothing is as it was."""
    for tensor in tensors.values():
        tensor.add_(1e-3)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


class Bench:
    """All ways to save and restore one state."""

    def __init__(self, millions: int, root: Path) -> None:
        self.state, self.root = make_state(millions), root
        self.tensors = flat(self.state)
        self.bytes = sum(tensor.nbytes for tensor in self.tensors.values())
        self.warm = {name: tensor.clone() for name, tensor in self.tensors.items()}
        self.buffers, self.round = Buffers(), 0
        self.times: list[dict[str, float]] = []
        self.others: list[float] = []

    def run(self, repeat: int) -> None:
        ways = [getattr(self, name) for name in dir(self) if name.startswith("way_")]
        order = random.Random(0)
        for self.round in range(repeat + 1):
            self.times.append({})
            order.shuffle(ways)
            begun = user_seconds()
            for way in ways:
                change(self.tensors)
                os.sync()
                way()
                for path in self.root.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            self.others.append(share_of_others(begun, user_seconds()))
        del self.times[0], self.others[0]

    def timed(self, name: str, act: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = act()
        self.times[-1][name] = time.perf_counter() - begun
        return result

    def restored(self, name: str, *where: object) -> None:
        """Time two restores in a new process."""
        command = [sys.executable, __file__, "--restore", name, *map(str, where)]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        self.times[-1][f"{name} first"], self.times[-1][f"{name} again"] = map(float, said.split())

    def way_memcpy(self) -> None:
        def copy() -> None:
            for name, tensor in self.tensors.items():
                self.warm[name].copy_(tensor)

        self.timed("memcpy", copy)

    def way_plain(self) -> None:
        path = self.root / "plain"

        def write() -> None:
            with path.open("xb", buffering=0) as file:
                for tensor in self.tensors.values():
                    data = memoryview(tensor.reshape(-1).numpy()).cast("B")
                    while data:
                        data = data[file.write(data) :]
                os.fsync(file.fileno())

        self.timed("plain write", write)

    def way_sweep(self) -> None:
        def capture() -> Captured:
            encoder = Encoder(self.buffers)
            return encoder.captured({"tracked": encoder.encode(self.state, "")})

        draft = Draft(
            trial=0, attempt=1, session=1, kind=Kind.PERIODIC, epoch=self.round, global_step=0,
            step=None, parent=None, metrics={}, meta={},
        )  # fmt: skip
        captured = self.timed("sweep blocked", capture)
        store = CheckpointStore(self.root / "sweep")
        record = self.timed("sweep durable", lambda: store.write(draft, captured))
        captured.release()
        self.restored("sweep", self.root / "sweep", record.manifest)

    def way_torch(self) -> None:
        path = self.root / "state.pt"
        self.timed("torch.save", lambda: (torch.save(self.state, path), sync(path)))
        self.restored("torch.load", path)

    def way_safetensors(self) -> None:
        path = self.root / "state.safetensors"
        self.timed("safetensors", lambda: (save_file(self.tensors, path), sync(path)))

    def way_dcp(self) -> None:
        path = self.root / "dcp"
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            future = self.timed(
                "dcp blocked", lambda: dcp.async_save(self.state, checkpoint_id=path)
            )
            future.result()
        self.times[-1]["dcp durable"] = time.perf_counter() - begun

    def table(self) -> list[str]:
        rows = [
            ("memcpy", "blocked", "memcpy", None),
            ("sweep blocked", "blocked", "memcpy", 1.25),
            ("dcp blocked", "blocked", "memcpy", None),
            ("plain write", "durable", "plain write", None),
            ("sweep durable", "durable", "plain write", 1.3),
            ("torch.save", "durable", "plain write", None),
            ("safetensors", "durable", "plain write", None),
            ("dcp durable", "durable", "plain write", None),
            ("torch.load first", "restore", "torch.load first", None),
            ("sweep first", "restore", "torch.load first", 1.0),
            ("torch.load again", "restore", "torch.load again", None),
            ("sweep again", "restore", "torch.load again", None),
        ]
        return [self.row(*row) for row in rows]

    def row(self, name: str, what: str, base: str, goal: float | None) -> str:
        seconds = statistics.median(times[name] for times in self.times)
        ratio = statistics.median(times[name] / times[base] for times in self.times)
        asked = "" if goal is None else f"  (goal: at most {goal})"
        return (f"{name:17} {what:8} {seconds:8.3f} s  {self.bytes / MB / seconds:8.0f} MB/s"
                f"  {ratio:6.2f} x {base}{asked}")  # fmt: skip


def user_seconds() -> tuple[float, float, float]:
    """Now, and CPU seconds in user mode of all processes and of this one with its children."""
    with Path("/proc/stat").open() as file:
        user, nice = map(int, file.readline().split()[1:3])
    own = os.times()
    return (
        time.perf_counter(),
        (user + nice) / os.sysconf("SC_CLK_TCK"),
        own.user + own.children_user,
    )


def share_of_others(begun: tuple[float, float, float], ended: tuple[float, float, float]) -> float:
    seconds, everyone, own = (after - before for before, after in zip(begun, ended, strict=True))
    return max(0.0, everyone - own) / seconds


def restore(way: str, path: Path, manifest: str = "") -> None:
    """Print the seconds of two restores."""
    for _ in range(2):
        begun = time.perf_counter()
        if way == "torch.load":
            state = torch.load(path, weights_only=True)
        else:
            state = CheckpointStore(path).read(manifest)
        print(time.perf_counter() - begun)
        del state


def on_disk(root: Path) -> int:
    """Bytes of the blocks below ``root``, each inode once."""
    inodes = {}
    for path in (root, *root.rglob("*")):
        status = path.lstat()
        inodes[status.st_ino] = 512 * status.st_blocks
    return sum(inodes.values())


def sizes(millions: int, root: Path) -> list[str]:
    """Disk space of ten forks and ten frozen backbones against that of one checkpoint."""
    state = make_state(millions)

    def draft(trial: int, kind: Kind = Kind.PERIODIC) -> Draft:
        return Draft(
            trial=trial, attempt=1, session=1, kind=kind, epoch=1, global_step=0, step=None,
            parent=None, metrics={}, meta={},
        )  # fmt: skip

    def save(store: CheckpointStore, trial: int, state: dict[str, Any]) -> str:
        encoder = Encoder()
        captured = encoder.captured({"tracked": encoder.encode(state, "")})
        return store.write(draft(trial), captured).manifest

    lines = []

    def line(what: str, place: Path, one: int) -> None:
        ten = on_disk(place)
        lines.append(f"{what:17} {ten / MB:8.2f} MB, {one / MB:.2f} MB before: {ten / one:.4f} x")

    store = CheckpointStore(root / "forks")
    source = save(store, 0, state)
    one = on_disk(root / "forks")
    for trial in range(1, 11):
        store.fork(source, draft(trial, Kind.FORK))
    line("one and 10 forks", root / "forks", one)
    store = CheckpointStore(root / "frozen")
    for trial in range(10):
        head = {"weight": torch.randn(10, WIDTHS[millions]), "bias": torch.randn(10)}
        save(store, trial, {"backbone": state["model"], "head": head})
        one = one if trial else on_disk(root / "frozen")
    line("10 frozen", root / "frozen", one)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="25 M parameters only")
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    parser.add_argument("--directory", default=None, help="where to write (a real disk)")
    parser.add_argument("--restore", nargs="+", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.restore:
        way, path, *manifest = options.restore
        restore(way, Path(path), *manifest)
        return
    for millions in (25,) if options.small else (25, 100):
        with tempfile.TemporaryDirectory(dir=options.directory) as root:
            bench = Bench(millions, Path(root))
            bench.run(options.repeat)
            print(f"{millions} M parameters with Adam, {bench.bytes / MB:.0f} MB, medians of "
                  f"{options.repeat}")  # fmt: skip
            print(f"others: {statistics.median(bench.others):.2f} of a core")
            print("\n".join((*bench.table(), *sizes(millions, Path(root)))))


if __name__ == "__main__":
    main()
