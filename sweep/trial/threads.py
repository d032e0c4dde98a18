"""How many threads a trial computes with, so that slots do not fight and results repeat."""

from __future__ import annotations

import os
import sys

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_POOLED = ("numpy", "scipy.linalg", "sklearn", "torch")
"""Modules that bring thread pools, as far as a trial may load them."""

_applied: tuple[int, frozenset[str]] | None = None


def limit_threads(count: int) -> None:
    """Let torch, OpenMP and BLAS use ``count`` threads, now and when they are loaded later.

    Looking for the pools takes milliseconds, so it is done only when something has changed.
    """
    global _applied
    for variable in _VARIABLES:
        os.environ[variable] = str(count)
    wanted = (count, frozenset(name for name in _POOLED if name in sys.modules))
    if wanted == _applied:
        return
    if wanted[1]:
        from threadpoolctl import threadpool_limits

        threadpool_limits(count)
    limit_torch(count)
    _applied = wanted


def limit_torch(count: int) -> None:
    """Let torch use ``count`` threads, if it is loaded."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)
