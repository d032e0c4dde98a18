"""Compressed files: the bytes of equal rank of all numbers side by side, then zstd.

The exponents of weights are alike and their mantissas are noise; kept apart, the former compress
well (byte shuffling: Alted, "Why Modern CPUs Are Starving and What Can Be Done about It", CiSE
2010). Layout::

    b"SWZ2"  u8 itemsize  u64 raw size       (little-endian)
    u32 raw length, u32 packed length, the packed block ... ; a raw length of 0 is the end
    u32 CRC-32 of all that stands before it

A block is shuffled and compressed by itself, so that files of any size take little memory. That
the bytes are right is for the digest of the raw file to say; the CRC finds what zstd passes over,
so that no bit of a packed file may differ. ``SWZ1``, which mirrors may still hold, ends without it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from sweep.errors import CheckpointDamagedError

SUFFIX = ".zst"
"""What the name of a packed file ends with."""

BLOCK = 4 * 1024 * 1024
"""Bytes that are shuffled and compressed together: a multiple of every itemsize."""

LEVEL = 3
"""Of zstd, where nobody asked for another."""

_MAGIC, _WITHOUT_CRC = b"SWZ2", b"SWZ1"
_HEAD = struct.Struct("<4sBQ")
_BLOCK = struct.Struct("<II")
_CRC = struct.Struct("<I")
_ITEMSIZES = {"64": 8, "32": 4, "16": 2}


def pack(
    parts: Iterable[bytes | memoryview], size: int, itemsize: int, level: int
) -> Generator[bytes]:
    """The parts of the packed file that holds the ``size`` bytes of all ``parts``.

    ``itemsize`` (1, 2, 4 or 8 bytes) is that of most of its numbers, ``level`` zstd's, 1 to 22.
    """
    crc = 0
    for piece in _pieces(parts, size, itemsize, level):
        crc = zlib.crc32(piece, crc)
        yield piece
    yield _CRC.pack(crc)


def _pieces(
    parts: Iterable[bytes | memoryview], size: int, itemsize: int, level: int
) -> Iterator[bytes]:
    import pyarrow as pa

    codec = pa.Codec("zstd", compression_level=level)
    yield _HEAD.pack(_MAGIC, itemsize, size)
    for part in parts:
        for start in range(0, len(part), BLOCK):
            raw = shuffled(memoryview(part)[start : start + BLOCK], itemsize)
            packed = codec.compress(raw, asbytes=True)
            yield _BLOCK.pack(len(raw), len(packed))
            yield packed
    yield _BLOCK.pack(0, 0)


def unpack(
    read: Callable[[int], bytes], where: str, expected: int | None = None
) -> Iterator[bytes]:
    """The parts of the raw file, where ``read(n)`` gives the next n bytes of the packed one.

    However the packed file is made, never more comes out than its head says, nor, where it is
    given, than ``expected``, the size of the raw file.

    Raises:
        CheckpointDamagedError: it is torn, or was not made by `pack`; ``where`` names it.
        OSError: as ``read``.
    """
    summed = _Summed(read)
    try:
        magic, itemsize, size = _HEAD.unpack(summed.read(_HEAD.size))
        if magic not in (_MAGIC, _WITHOUT_CRC) or itemsize not in (1, 2, 4, 8):
            raise ValueError("no packed file")
        if expected is not None and size != expected:
            raise ValueError(f"holds {size} bytes instead of {expected}")
        yield from _blocks(summed.read, size, itemsize)
        crc = summed.crc
        if magic == _MAGIC and _CRC.unpack(summed.read(_CRC.size)) != (crc,):
            raise ValueError("its content is not what was saved")
        if summed.read(1):
            raise ValueError("goes on behind its end")
    except (ValueError, struct.error) as error:
        raise CheckpointDamagedError(f"{where}: cannot be unpacked: {error}") from error


def _blocks(read: Callable[[int], bytes], size: int, itemsize: int) -> Iterator[bytes]:
    import pyarrow as pa

    codec = pa.Codec("zstd")
    while True:
        length, packed = _BLOCK.unpack(read(_BLOCK.size))
        if length > BLOCK or packed > 2 * BLOCK or length > size:
            raise ValueError("a block is larger than any can be")
        if length == 0:
            break
        size -= length
        block = read(packed)
        try:
            raw = codec.decompress(block, decompressed_size=length, asbytes=True)
        except (OSError, pa.ArrowException) as error:  # not the disk's: what zstd says
            raise ValueError(str(error)) from error
        yield unshuffled(raw, itemsize)
    if size:
        raise ValueError(f"{size} bytes are missing")


class _Summed:
    """Reads, with the CRC of all that was read."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self.crc = read, 0

    def read(self, size: int) -> bytes:
        data = self._read(size)
        self.crc = zlib.crc32(data, self.crc)
        return data


class Unpacked:
    """What `unpack` gives, to be read like a file."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._left = parts, memoryview(b"")

    def readinto(self, into: Any) -> int:
        """Fill the beginning of ``into``; how many bytes of it, and 0 at the end only."""
        while not self._left:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._left = memoryview(part)
        count = min(len(into), len(self._left))
        into[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def raw_size(head: bytes) -> int:
    """What the beginning of a packed file says of the size of the raw one; 0 where it is none."""
    try:
        magic, _, size = _HEAD.unpack(head[: _HEAD.size])
    except struct.error:
        return 0
    return int(size) if magic in (_MAGIC, _WITHOUT_CRC) else 0


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
