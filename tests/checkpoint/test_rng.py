"""The global generators go back to where they were."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from sweep.checkpoint import rng
from sweep.checkpoint.codec import Captured, decode, encode


@pytest.fixture(autouse=True)
def _generators() -> Iterator[None]:
    before = rng.capture()
    yield
    rng.restore(before, 0)


def draw() -> list[float]:
    return [
        random.random(),
        random.gauss(0, 1),
        np.random.rand(),
        np.random.standard_normal(),
        torch.rand(()).item(),
        torch.randn(()).item(),
    ]


def test_round_trip() -> None:
    """What is drawn after a restore is what was drawn after the capture, half-used pairs too."""
    rng.seed(7)
    draw()
    state = rng.capture()
    assert state["python"]["gauss"] is not None
    assert state["numpy"]["has_gauss"]
    captured = encode(state)
    assert captured.arrays == {}  # so that a small checkpoint is one file
    skeleton = json.loads(json.dumps(captured.skeleton))
    expected = [draw() for _ in range(3)]
    rng.restore(decode(Captured(skeleton)), 0)
    assert [draw() for _ in range(3)] == expected


def test_seed() -> None:
    """The same seed gives the same draws from each library, another seed others."""
    rng.seed(7)
    first = draw()
    rng.seed(7)
    assert draw() == first
    rng.seed(8)
    assert all(one != other for one, other in zip(draw(), first, strict=True))


def test_library_that_was_not_there_is_seeded() -> None:
    """A library that a state knows nothing of starts as it did when it was first imported."""
    state = rng.capture()
    del state["torch"]
    torch.manual_seed(5)
    expected = torch.rand(3)
    rng.restore(state, 5)
    assert torch.equal(torch.rand(3), expected)


def test_one_library_alone() -> None:
    """One library can be restored without touching the others."""
    rng.seed(7)
    state = rng.capture()
    expected = draw()
    rng.seed(8)
    others = draw()
    rng.seed(8)
    rng.restore(state, 0, "numpy")
    assert draw() == [*others[:2], *expected[2:4], *others[4:]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda() -> None:
    """The generators of GPUs go back too."""
    torch.rand(1, device="cuda")
    state = decode(encode(rng.capture()))
    expected = torch.rand(3, device="cuda")
    rng.restore(state, 0)
    assert torch.equal(torch.rand(3, device="cuda"), expected)


def test_nothing_is_imported() -> None:
    """Capturing and restoring import neither NumPy nor torch, even where a state has theirs."""
    code = """
import sys
from sweep.checkpoint import rng
rng.seed(1)
rng.restore(rng.capture() | {"numpy": {}, "torch": {}}, 1)
assert not {"numpy", "torch"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
