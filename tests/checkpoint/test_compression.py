"""Packed files: what was packed comes out again, or an error does."""

from __future__ import annotations

import errno
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.checkpoint.blob import Array
from sweep.checkpoint.compression import BLOCK, Unpacked, itemsize_of, pack, unpack
from sweep.checkpoint.fresh import write_blob
from sweep.errors import CheckpointDamagedError


def packed(data: bytes, itemsize: int) -> bytes:
    return b"".join(pack([memoryview(data)], len(data), itemsize, 3))


def unpacked(data: bytes, expected: int | None = None) -> bytes:
    return b"".join(unpack(io.BytesIO(data).read, "x", expected))


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


def test_every_flipped_bit_is_found() -> None:
    """No bit of a packed file may differ, be it one that zstd passes over."""
    data = np.random.default_rng(1).normal(size=50).astype(np.float32).tobytes()
    whole = packed(data, 4)
    for bit in range(8 * len(whole)):
        bad = bytearray(whole)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CheckpointDamagedError, match="x: "):
            unpacked(bytes(bad))


def test_what_stands_behind_the_end_is_found() -> None:
    """A packed file that was extended is refused."""
    with pytest.raises(CheckpointDamagedError, match="behind its end"):
        unpacked(packed(b"abc", 1) + b"\0")


def test_parts_join_without_a_seam() -> None:
    """What is packed in parts of any size comes out as one."""
    parts = [b"a" * 13, b"", b"bc", b"d" * (BLOCK + 1)]
    whole = b"".join(parts)
    assert unpacked(b"".join(pack(parts, len(whole), 4, 3)), len(whole)) == whole


def test_objects_without_a_checksum_are_read() -> None:
    """Mirrors hold files of the first layout, which ended without one."""
    data = bytes(range(250))
    old = b"SWZ1" + packed(data, 4)[4:-4]
    assert unpacked(old) == data


def bomb(claimed: int, size: int) -> bytes:
    """A file that holds ``size`` zeros in blocks of a few bytes, and claims another number."""
    zeros, codec = bytes(BLOCK), pa.Codec("zstd")
    block = codec.compress(zeros, asbytes=True)
    blocks = struct.pack("<II", BLOCK, len(block)) + block
    body = struct.pack("<4sBQ", b"SWZ2", 1, claimed) + blocks * (size // BLOCK) + bytes(8)
    return body + struct.pack("<I", zlib.crc32(body))


def test_nothing_expands_beyond_what_is_expected() -> None:
    """A small file of many zeros is refused before more came out than it should hold."""
    size = 64 * BLOCK
    with pytest.raises(CheckpointDamagedError, match="instead of 100"):
        unpacked(bomb(size, size), 100)
    parts = unpack(io.BytesIO(bomb(BLOCK + 1, size)).read, "x", BLOCK + 1)
    assert len(next(parts)) == BLOCK
    with pytest.raises(CheckpointDamagedError, match="larger than any can be"):
        next(parts)


@pytest.mark.parametrize("wrong", [3, BLOCK - 1])
def test_a_block_that_holds_more_than_it_says_is_refused(wrong: int) -> None:
    """The length of a block bounds the memory that it takes, whatever zstd would make of it."""
    block = pa.Codec("zstd").compress(bytes(BLOCK), asbytes=True)
    body = struct.pack("<4sBQ", b"SWZ2", 1, wrong) + struct.pack("<II", wrong, len(block)) + block
    body += bytes(8)
    with pytest.raises(CheckpointDamagedError):
        unpacked(body + struct.pack("<I", zlib.crc32(body)), wrong)


@given(st.binary(max_size=300))
def test_noise_only_raises(noise: bytes) -> None:
    """Whatever follows a right beginning, it is damage or what was packed, and no other error."""
    for head in (b"", b"SWZ2", packed(b"abcdefgh", 4)[:13], packed(b"abcdefgh", 4)[:21]):
        with pytest.raises(CheckpointDamagedError):
            unpacked(head + noise)


def test_errors_of_reading_are_not_called_damage() -> None:
    """A mirror that cannot be read says nothing about the file."""

    def read(size: int) -> bytes:
        raise OSError(errno.ETIMEDOUT, "no answer")

    with pytest.raises(OSError, match="no answer"):
        list(unpack(read, "x"))


def test_read_like_a_file() -> None:
    """`Unpacked` fills what it is given, over the seams of blocks, and ends with 0."""
    data = np.random.default_rng(0).bytes(BLOCK + 100)
    file = Unpacked(unpack(io.BytesIO(packed(data, 1)).read, "x"))
    found, chunk = bytearray(), memoryview(bytearray(1_000_003))
    while count := file.readinto(chunk):
        found += chunk[:count]
    assert found == data
    assert file.readinto(chunk) == 0


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
