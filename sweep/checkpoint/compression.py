"""Compressed files: the bytes of equal rank of all numbers side by side, then zstd.

The exponents of weights are alike and their mantissas are noise; kept apart, the former compress
well (byte shuffling: Alted, "Why Modern CPUs Are Starving and What Can Be Done about It", CiSE
2010). Layout::

    b"SWZ1"  u8 itemsize  u64 raw size       (little-endian)
    u32 raw length, u32 packed length, the packed block ... ; a raw length of 0 is the end

A block is shuffled and compressed by itself, so that files of any size take little memory. The
container finds truncation; that the bytes are right is for the digest of the raw file to say.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable, Generator, Iterator

from sweep.errors import CheckpointDamagedError

SUFFIX = ".zst"
"""What the name of a packed file ends with."""

BLOCK = 4 * 1024 * 1024
"""Bytes that are shuffled and compressed together: a multiple of every itemsize."""

_MAGIC = b"SWZ1"
_HEAD = struct.Struct("<4sBQ")
_BLOCK = struct.Struct("<II")
_ITEMSIZES = {"64": 8, "32": 4, "16": 2}


def pack(data: memoryview, itemsize: int, level: int) -> Generator[bytes]:
    """The parts of the packed file that holds ``data``.

    ``itemsize`` (1, 2, 4 or 8 bytes) is that of most of its numbers, ``level`` zstd's, 1 to 22.
    """
    import pyarrow as pa

    codec = pa.Codec("zstd", compression_level=level)
    yield _HEAD.pack(_MAGIC, itemsize, len(data))
    for start in range(0, len(data), BLOCK):
        raw = shuffled(data[start : start + BLOCK], itemsize)
        packed = codec.compress(raw, asbytes=True)
        yield _BLOCK.pack(len(raw), len(packed))
        yield packed
    yield _BLOCK.pack(0, 0)


def unpack(read: Callable[[int], bytes], where: str) -> Iterator[bytes]:
    """The parts of the raw file, where ``read(n)`` gives the next n bytes of the packed one.

    Raises:
        CheckpointDamagedError: it is torn, or was not made by `pack`; ``where`` names it.
    """
    import pyarrow as pa

    codec = pa.Codec("zstd")
    try:
        magic, itemsize, size = _HEAD.unpack(read(_HEAD.size))
        if magic != _MAGIC or itemsize not in (1, 2, 4, 8):
            raise ValueError("no packed file")
        while True:
            length, packed = _BLOCK.unpack(read(_BLOCK.size))
            if length > BLOCK or packed > 2 * BLOCK or length > size:
                raise ValueError("a block is larger than any can be")
            if length == 0:
                break
            size -= length
            raw = codec.decompress(read(packed), decompressed_size=length, asbytes=True)
            yield unshuffled(raw, itemsize)
        if size:
            raise ValueError(f"{size} bytes are missing")
    except (ValueError, OSError, struct.error, pa.ArrowException) as error:
        raise CheckpointDamagedError(f"{where}: cannot be unpacked: {error}") from error


def shuffled(data: memoryview, itemsize: int) -> bytes:
    """First the first bytes of all items, then the second ones, ...; a rest stays at the end."""
    return _transposed(data, itemsize, inverse=False)


def unshuffled(data: bytes, itemsize: int) -> bytes:
    """The inverse of `shuffled`."""
    return _transposed(memoryview(data), itemsize, inverse=True)


def _transposed(data: memoryview, itemsize: int, *, inverse: bool) -> bytes:
    if itemsize == 1:
        return bytes(data)
    import numpy as np

    whole = len(data) - len(data) % itemsize
    shape = (itemsize, -1) if inverse else (-1, itemsize)
    items = np.frombuffer(data[:whole], dtype=np.uint8).reshape(shape)
    return items.T.tobytes() + bytes(data[whole:])


def itemsize_of(data: memoryview) -> int:
    """The size of the elements that most bytes of a safetensors file belong to; else 1."""
    try:
        (length,) = struct.unpack("<Q", data[:8])
        weights: Counter[int] = Counter()
        for entry in json.loads(bytes(data[8 : 8 + length])).values():
            start, end = entry["data_offsets"]
            weights[_ITEMSIZES.get(entry["dtype"][-2:], 1)] += end - start
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return 1
    return weights.most_common(1)[0][0] if weights else 1
