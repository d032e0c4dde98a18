"""Writes a golden checkpoint with the code as it is: once for each format, never again.

``python tests/checkpoint/golden_writer.py tests/checkpoint/golden/v3``, with ``tests/trial`` in
PYTHONPATH. Beside the store lies `expected.json`: its manifests' records and the SHA-256 of each
leaf of the state, by path.
"""

from __future__ import annotations

import hashlib
import json
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch


def train(trial: Any) -> None:
    """A model with a tied weight, Adam, a loader, all generators and some state, in two epochs."""
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model.append(torch.nn.Linear(4, 4))
    model[2].weight = model[0].weight
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    data = torch.utils.data.TensorDataset(torch.arange(48.0).reshape(12, 4) / 48)
    loader = trial.loader(data, batch_size=3, shuffle=True)
    trial.track(model=model, optimizer=optimizer)
    trial.state.setdefault("loss", float("inf"))
    trial.state["seen"] = np.arange(6, dtype=np.int16).reshape(2, 3)
    for _ in trial.epochs(2):
        for (batch,) in loader:
            optimizer.zero_grad()
            loss = model(batch).square().mean() + np.random.rand()
            loss.backward()
            optimizer.step()
            trial.state["loss"] = loss.item()
            trial.step()
        trial.report(loss=trial.state["loss"])


def leaves(tree: Any, path: str = "") -> dict[str, str]:
    """SHA-256 of type and bytes of every leaf, by path."""
    if isinstance(tree, dict):
        found = {}
        for key, value in tree.items():
            found |= leaves(value, f"{path}/{key}")
        return found
    if isinstance(tree, list | tuple):
        return leaves(dict(enumerate(tree)), path)
    if isinstance(tree, torch.Tensor):
        tree = (str(tree.dtype), list(tree.shape), tree.contiguous().numpy().tobytes())
    elif isinstance(tree, np.ndarray):
        tree = (str(tree.dtype), list(tree.shape), tree.tobytes())
    return {path: hashlib.sha256(repr(tree).encode()).hexdigest()}


def write(root: Path) -> None:
    socket.gethostname = lambda: "golden"  # before it is looked up
    from trial_harness import Recorder, Runner

    runner = Runner(root, train, params={"lr": 0.01})
    links = [runner.run(Recorder(stop_at=7)), runner.run(level=3)]  # both forms of files
    records = [record for link in links for record in link.records]
    expected = [
        {
            "record": record.to_json(),
            "leaves": leaves(runner.store.read(record.manifest).tree),
        }
        for record in records
    ]
    (root / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
