"""A trial function that uses `once`, without torch; a phase appends lines to a file as it runs."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np


def note(log: Path, line: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def prepare(log: Path, gate: Path) -> dict[str, object]:
    """Draws from every generator. Where ``gate`` is a FIFO, it waits for the other end."""
    note(log, f"begin {os.getpid()}")
    if gate.is_fifo():
        gate.read_bytes()
    drawn = [random.random(), np.random.rand(3)]
    note(log, f"end {os.getpid()}")
    return {"drawn": drawn, "table": np.arange(6).reshape(2, 3)}


def shared(trial) -> None:
    params = trial.params
    value = trial.once(
        "prepare", prepare, Path(params.log), Path(params.gate), scope=params.get("scope", "study")
    )
    trial.report(loss=float(value["drawn"][1].sum()), own=random.random())
