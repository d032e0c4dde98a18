"""One safetensors file: arrays by name, checked whole when it is read.

Format (https://github.com/huggingface/safetensors): 8 bytes little-endian length of the header, a
JSON header ``{name: {"dtype", "shape", "data_offsets"}}``, then the bytes of the arrays without a
gap. Any safetensors reader opens the files. Their writer is `sweep.checkpoint.fresh`.
"""

from __future__ import annotations

import errno
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.checkpoint.body import STEP, Body, PackedBody, read_exactly
from sweep.checkpoint.compression import Unpacked, unpack
from sweep.checkpoint.digest import begin
from sweep.errors import CheckpointDamagedError, CheckpointError

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
_NOT_THE_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM}
"""How the system says that this process may not, or cannot now, open or read a file."""


@dataclass(frozen=True, slots=True)
class Array:
    """Bytes of an array in C order. With code ``U8`` the shape may be that of the raw bytes."""

    code: str
    shape: tuple[int, ...]
    data: Any
    """A contiguous torch tensor on the CPU, or whatever `memoryview` takes as bytes."""
    owned: bool = False
    """Whether ``data`` is memory of its own, which may become that of a decoded tensor."""

    def view(self) -> memoryview:
        """Its bytes, not copied."""
        data = self.data
        if hasattr(data, "untyped_storage"):
            import torch

            data = data.reshape(-1).view(torch.uint8).numpy()
        return memoryview(data).cast("B") if len(data) else memoryview(b"")


@dataclass(frozen=True, slots=True)
class Written:
    """Size in bytes and digest (`sweep.checkpoint.digest`) of a file before it was packed."""

    bytes: int
    digest: str
    packed: int | None = None
    """Its size on the disk where it is packed (`sweep.checkpoint.compression`), else None. It is no
    promise: the same content, packed again, may have another."""

    @property
    def stored(self) -> int:
        """What it takes on the disk, in bytes."""
        return self.bytes if self.packed is None else self.packed


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the system name ``path``, also those of calls that know only a descriptor."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def unreadable(path: Path, error: OSError) -> CheckpointError:
    """What to raise where the system refuses to read ``path``.

    It is no damage where too many files are open, say: who takes it for some gives up a checkpoint
    that is whole, and then the next older one, for the same reason.
    """
    damaged = error.errno not in _NOT_THE_FILES
    kind = CheckpointDamagedError if damaged else CheckpointError
    return kind(f"{path}: cannot be read: {error.strerror or error}")


def ordered(arrays: Mapping[str, Array]) -> list[str]:
    """Wide elements first, so that each array lies at a multiple of its element's size."""
    return sorted(arrays, key=lambda name: (-_BITS[arrays[name].code], name))


def head(arrays: Mapping[str, Array], views: Mapping[str, memoryview]) -> bytes:
    """What stands before the bytes of the arrays, which follow in the order of `ordered`."""
    header, offset = {}, 0
    for name in ordered(arrays):
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
    return _LENGTH.pack(len(text)) + text


class OpenBlob:
    """A file that is open for reading, so that it stays readable when its name is removed."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            CheckpointDamagedError: it is missing or cannot be opened.
            CheckpointError: this process cannot open it: too many files are open, say.
        """
        self.path = path
        with self._mapped():
            self._file = path.open("rb", buffering=0)
        self._begun: tuple[bytes, Body | PackedBody] | None = None

    def begin(self, expected: Written) -> None:
        """Read the header and find memory for the rest, which `read` fills in any thread.

        The memory is the calling thread's: what that has freed before is at hand for it again.

        Raises:
            CheckpointDamagedError: as `read`.
        """
        if expected.packed is not None:
            return  # to read its header is to unpack a block of it
        with self._mapped():
            self._begin(expected)

    def read(self, expected: Written) -> dict[str, Array]:
        """The arrays of the file, after every byte was held against ``expected``.

        Raises:
            CheckpointDamagedError: it is unreadable, or not what was written.
        """
        with self._mapped():
            header, body = self._begun or self._begin(expected)
            digest = begin(expected.digest)
            digest.update(header)
            body.hash(digest.update)
            self._compare(digest.digest(), expected)
        try:
            return _parse(header[_LENGTH.size :], body)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise CheckpointDamagedError(
                f"{self.path}: is no safetensors file: {error!r}"
            ) from error

    def read_ahead(self) -> None:
        """Help another thread that is in `read`; return at once where there is nothing to do."""
        if self._begun is not None:
            self._begun[1].read_ahead()

    def check(self, expected: Written) -> None:
        """Hold every byte against ``expected``, in little memory.

        Raises:
            CheckpointDamagedError: as `read`.
        """
        with self._mapped():
            content = self._content(expected)
            digest, chunk = begin(expected.digest), memoryview(bytearray(STEP))
            while count := content.readinto(chunk):
                digest.update(chunk[:count])
            self._compare(digest.digest(), expected)

    def status(self) -> os.stat_result:
        """What the system knows of the open file."""
        return os.fstat(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> OpenBlob:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _begin(self, expected: Written) -> tuple[bytes, Body | PackedBody]:
        content = self._content(expected)
        header = read_exactly(content, _LENGTH.size)
        length = min(_LENGTH.unpack(header)[0], expected.bytes - _LENGTH.size)
        header += read_exactly(content, length)
        size = expected.bytes - len(header)
        if expected.packed is None:
            self._begun = header, Body(self._file, len(header), size)
        else:
            self._begun = header, PackedBody(content, size)
        return self._begun

    def _content(self, expected: Written) -> Any:
        """The file from its beginning, as it was before it was packed: what has ``readinto``."""
        self._file.seek(0)
        if expected.packed is not None:
            return Unpacked(unpack(self._file.read, str(self.path), expected.bytes))
        self._check_size(expected)
        return self._file

    def _check_size(self, expected: Written) -> None:
        size = os.fstat(self._file.fileno()).st_size
        if size != expected.bytes:
            raise CheckpointDamagedError(
                f"{self.path}: has {size} bytes instead of {expected.bytes}"
            )

    def _compare(self, digest: str, expected: Written) -> None:
        if digest != expected.digest:
            raise self._damaged()

    def _damaged(self) -> CheckpointDamagedError:
        return CheckpointDamagedError(f"{self.path}: its content is not what was saved")

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except CheckpointError:
            raise
        except FileNotFoundError as error:
            raise CheckpointDamagedError(f"{self.path}: is missing") from error
        except EOFError as error:
            raise self._damaged() from error
        except OSError as error:
            raise unreadable(self.path, error) from error


def read_blob(path: Path, expected: Written) -> dict[str, Array]:
    """The arrays of a file, after every byte was held against ``expected``.

    Raises:
        CheckpointDamagedError: it is missing, unreadable, or not what was written.
    """
    with OpenBlob(path) as file:
        return file.read(expected)


def _parse(text: bytes, body: Body | PackedBody) -> dict[str, Array]:
    header = json.loads(text)
    arrays = {}
    for name, entry in header.items():
        shape, (start, end) = tuple(entry["shape"]), entry["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (*shape, start, end)):
            raise ValueError(f"{name}: not a shape or place")
        if math.prod(shape) * _BITS[entry["dtype"]] != 8 * (end - start) or end > len(body.view):
            raise ValueError(f"{name}: its bytes do not fit its shape")
        alone = (start, end) == (0, len(body.view)) and len(header) == 1
        data = body.memory if alone else body.view[start:end]
        arrays[name] = Array(entry["dtype"], shape, data, owned=alone)
    return arrays
