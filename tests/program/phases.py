"""Trials that share a preprocessing, for studies as real processes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

import sweep

HERE = Path(__file__).parent


def prepare(size: int) -> np.ndarray:
    descriptor = os.open(HERE / "prepared.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    os.close(descriptor)
    gate = HERE / "gate"
    if gate.is_fifo():
        gate.read_bytes()
    return np.random.rand(size)


def train(trial: sweep.Trial) -> float:
    table = trial.once("table", prepare, 1000, scope="study")
    return float(table.sum())
