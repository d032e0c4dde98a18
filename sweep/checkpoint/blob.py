"""One safetensors file: arrays by name, hashed while it is written, checked whole when read.

Format (https://github.com/huggingface/safetensors): 8 bytes little-endian length of the header, a
JSON header ``{name: {"dtype", "shape", "data_offsets"}}``, then the bytes of the arrays without a
gap. The writer is ours because it must hash and sync in one pass; any safetensors reader opens the
files.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.errors import CheckpointDamagedError

CODES = {
    "float64": "F64",
    "int64": "I64",
    "uint64": "U64",
    "complex64": "C64",
    "float32": "F32",
    "int32": "I32",
    "uint32": "U32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int16": "I16",
    "uint16": "U16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
}
"""The format's name of each dtype (of NumPy and torch) that it knows."""

_BITS = {
    code: 64 if code.endswith("64") else 32 if code.endswith("32") else 16
    for code in CODES.values()
} | {"I8": 8, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8}
_LENGTH = struct.Struct("<Q")
_CHUNK = 1 << 24


@dataclass(frozen=True, slots=True)
class Array:
    """Bytes of an array in C order. With code ``U8`` the shape may be that of the raw bytes."""

    code: str
    shape: tuple[int, ...]
    data: Any
    """A contiguous torch tensor on the CPU, or whatever `memoryview` takes as bytes."""

    def view(self) -> memoryview:
        """Its bytes, not copied."""
        data = self.data
        if hasattr(data, "untyped_storage"):
            import torch

            data = data.reshape(-1).view(torch.uint8).numpy()
        return memoryview(data).cast("B") if len(data) else memoryview(b"")


@dataclass(frozen=True, slots=True)
class Written:
    """Size in bytes and SHA-256 in hex of a file."""

    bytes: int
    sha256: str


def write_blob(path: Path, arrays: Mapping[str, Array]) -> Written:
    """Write ``arrays`` to the new file ``path`` and sync it; the caller syncs the directory.

    Raises:
        OSError: as the system says.
    """
    views = {name: array.view() for name, array in arrays.items()}
    # Wide elements first, so that each array lies at a multiple of its element's size.
    names = sorted(views, key=lambda name: (-_BITS[arrays[name].code], name))
    header, offset = {}, 0
    for name in names:
        view, array = views[name], arrays[name]
        shape = list(array.shape)
        if math.prod(shape) * _BITS[array.code] != 8 * len(view):
            shape = [len(view)]  # a dtype that the format does not know, as raw bytes
        header[name] = {
            "dtype": array.code,
            "shape": shape,
            "data_offsets": [offset, offset + len(view)],
        }
        offset += len(view)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest, size = hashlib.sha256(), 0
    with path.open("xb", buffering=0) as file:
        for part in [memoryview(_LENGTH.pack(len(text)) + text), *(views[name] for name in names)]:
            for start in range(0, len(part), _CHUNK):
                chunk = part[start : start + _CHUNK]
                digest.update(chunk)
                _write(file.fileno(), chunk)
            size += len(part)
        os.fsync(file.fileno())
    return Written(size, digest.hexdigest())


def read_blob(path: Path, expected: Written) -> dict[str, Array]:
    """The arrays of a file, after every byte was held against ``expected``.

    Raises:
        CheckpointDamagedError: it is missing, unreadable, or not what was written.
    """
    try:
        size = path.stat().st_size
        if size != expected.bytes:
            raise CheckpointDamagedError(f"{path}: has {size} bytes instead of {expected.bytes}")
        data = bytearray(size)
        with path.open("rb", buffering=0) as file:
            read = _read(file, memoryview(data))
    except CheckpointDamagedError:
        raise
    except FileNotFoundError as error:
        raise CheckpointDamagedError(f"{path}: is missing") from error
    except OSError as error:
        raise CheckpointDamagedError(f"{path}: cannot be read: {error}") from error
    if read != size or hashlib.sha256(data).hexdigest() != expected.sha256:
        raise CheckpointDamagedError(f"{path}: its content is not what was saved")
    try:
        return _parse(memoryview(data))
    except (KeyError, TypeError, ValueError, struct.error, RecursionError) as error:
        raise CheckpointDamagedError(f"{path}: is no safetensors file: {error!r}") from error


def _parse(data: memoryview) -> dict[str, Array]:
    (length,) = _LENGTH.unpack(data[: _LENGTH.size])
    header = json.loads(bytes(data[_LENGTH.size : _LENGTH.size + length]))
    body = data[_LENGTH.size + length :]
    arrays = {}
    for name, entry in header.items():
        shape, (start, end) = tuple(entry["shape"]), entry["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (*shape, start, end)):
            raise ValueError(f"{name}: not a shape or place")
        if math.prod(shape) * _BITS[entry["dtype"]] != 8 * (end - start) or end > len(body):
            raise ValueError(f"{name}: its bytes do not fit its shape")
        arrays[name] = Array(entry["dtype"], shape, body[start:end])
    return arrays


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _read(file: Any, into: memoryview) -> int:
    done = 0
    while done < len(into):
        count = file.readinto(into[done:])
        if not count:
            break
        done += count
    return done
