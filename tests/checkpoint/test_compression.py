"""Packed files: what was packed comes out again, or an error does."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.checkpoint.blob import Array
from sweep.checkpoint.compression import BLOCK, itemsize_of, pack, unpack
from sweep.checkpoint.fresh import write_blob
from sweep.errors import CheckpointDamagedError


def packed(data: bytes, itemsize: int) -> bytes:
    return b"".join(pack(memoryview(data), itemsize, 3))


def unpacked(data: bytes) -> bytes:
    return b"".join(unpack(io.BytesIO(data).read, "x"))


@given(st.binary(max_size=200), st.sampled_from([1, 2, 4, 8]))
def test_what_is_packed_comes_out_again(data: bytes, itemsize: int) -> None:
    """Any bytes, of any length, survive with any itemsize."""
    assert unpacked(packed(data, itemsize)) == data


@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 3, 2 * BLOCK])
def test_blocks_join_without_a_seam(size: int) -> None:
    """A file of several blocks, whole or not, survives."""
    data = np.random.default_rng(0).bytes(size)
    assert unpacked(packed(data, 4)) == data


def test_shuffling_pays_for_weights() -> None:
    """Normal float32 numbers become smaller than they do without shuffling."""
    data = np.random.default_rng(0).normal(size=100_000).astype(np.float32).tobytes()
    assert len(packed(data, 4)) < 0.9 * len(data)
    assert len(packed(data, 4)) < len(packed(data, 1))


def test_every_truncation_is_found() -> None:
    """A packed file that ends early is refused, wherever it ends."""
    whole = packed(b"abcdefgh" * 5, 4)
    for end in range(len(whole)):
        with pytest.raises(CheckpointDamagedError):
            unpacked(whole[:end])


def test_a_flipped_bit_never_gives_other_bytes_unseen() -> None:
    """Each flipped bit raises, or gives bytes whose digest is not the file's."""
    data = np.random.default_rng(1).normal(size=50).astype(np.float32).tobytes()
    whole, digest = packed(data, 4), hashlib.sha256(data).digest()
    for bit in range(8 * len(whole)):
        bad = bytearray(whole)
        bad[bit // 8] ^= 1 << bit % 8
        try:
            found = unpacked(bytes(bad))
        except CheckpointDamagedError:
            continue
        assert found == data or hashlib.sha256(found).digest() != digest


def test_itemsize_is_that_of_most_bytes(tmp_path: Path) -> None:
    """The elements of a safetensors file are known from its header; other files have bytes."""
    path = tmp_path / "x"
    write_blob(
        path,
        {"a": Array("F32", (100,), bytes(400)), "b": Array("I64", (2,), bytes(16))},
    )
    assert itemsize_of(memoryview(path.read_bytes())) == 4
    assert itemsize_of(memoryview(b"no safetensors")) == 1
    assert itemsize_of(memoryview(b"")) == 1
