"""Saving and restoring a model with Adam, beside what else there is, in one run.

``python benchmarks/checkpoint.py [--small] [--repeat N]``: an MLP of 25 M parameters
(300 MB with Adam), and without ``--small`` one of 100 M (1.2 GB). Every way is taken in turn, round
after round, so that a busy machine slows all alike; the table gives medians, and ratios to one copy
of the state into used memory (blocked) or to a plain write and sync of its bytes (durable).
The page cache is warm for every restore.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import load_file, save_file

from sweep.checkpoint.buffer import Buffers
from sweep.checkpoint.encoder import Captured, Encoder
from sweep.checkpoint.record import Kind
from sweep.checkpoint.store import CheckpointStore, Draft

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
        self.buffers, self.store, self.round = Buffers(), CheckpointStore(root / "sweep"), 0
        self.times: dict[str, list[float]] = defaultdict(list)

    def run(self, repeat: int) -> None:
        ways = [getattr(self, name) for name in dir(self) if name.startswith("way_")]
        for self.round in range(repeat + 1):
            for way in ways:
                change(self.tensors)
                os.sync()
                way()
            if self.round == 0:
                self.times.clear()  # caches, files and memory are made ready

    def timed(self, name: str, act: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = act()
        self.times[name].append(time.perf_counter() - begun)
        return result

    def way_memcpy(self) -> None:
        def copy() -> None:
            for name, tensor in self.tensors.items():
                self.warm[name].copy_(tensor)

        self.timed("memcpy", copy)

    def way_plain(self) -> None:
        path = self.root / "plain"
        path.unlink(missing_ok=True)

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
        record = self.timed("sweep durable", lambda: self.store.write(draft, captured))
        captured.release()
        self.timed("sweep restore", lambda: self.store.read(record.manifest))
        self.store.delete(record.manifest)

    def way_torch(self) -> None:
        path = self.root / "state.pt"
        path.unlink(missing_ok=True)
        self.timed("torch.save", lambda: (torch.save(self.state, path), sync(path)))
        self.timed("torch.load", lambda: torch.load(path, weights_only=True))

    def way_safetensors(self) -> None:
        path = self.root / "state.safetensors"
        path.unlink(missing_ok=True)
        self.timed("safetensors", lambda: (save_file(self.tensors, path), sync(path)))
        self.timed("safetensors load", lambda: load_file(path))

    def way_dcp(self) -> None:
        path = self.root / "dcp"
        shutil.rmtree(path, ignore_errors=True)
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            future = self.timed(
                "dcp blocked", lambda: dcp.async_save(self.state, checkpoint_id=path)
            )
            future.result()
        self.times["dcp durable"].append(time.perf_counter() - begun)

    def table(self) -> list[str]:
        median = {name: statistics.median(times) for name, times in self.times.items()}
        rows = [
            ("memcpy", "blocked", "memcpy"),
            ("sweep blocked", "blocked", "memcpy"),
            ("dcp blocked", "blocked", "memcpy"),
            ("plain write", "durable", "plain write"),
            ("sweep durable", "durable", "plain write"),
            ("torch.save", "durable", "plain write"),
            ("safetensors", "durable", "plain write"),
            ("dcp durable", "durable", "plain write"),
            ("torch.load", "restore", "torch.load"),
            ("sweep restore", "restore", "torch.load"),
            ("safetensors load", "restore", "torch.load"),
        ]
        return [
            f"{name:18} {what:8} {median[name]:8.3f} s  {self.bytes / MB / median[name]:8.0f} MB/s"
            f"  {median[name] / median[base]:6.2f} x {base}"
            for name, what, base in rows
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="25 M parameters only")
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    parser.add_argument("--directory", default=None, help="where to write (a real disk)")
    options = parser.parse_args()
    for millions in (25,) if options.small else (25, 100):
        with tempfile.TemporaryDirectory(dir=options.directory) as root:
            bench = Bench(millions, Path(root))
            bench.run(options.repeat)
            print(f"{millions} M parameters with Adam, {bench.bytes / MB:.0f} MB, medians of "
                  f"{options.repeat}")  # fmt: skip
            print("\n".join(bench.table()))


if __name__ == "__main__":
    main()
