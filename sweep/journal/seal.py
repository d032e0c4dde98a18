"""A checksum over all of a Parquet file, the checksummed pages and what lies between them.

Parquet checks pages alone. A bit that is flipped in a header or in the footer makes another file
of it, on which a reader may fail in any way, or not at all. So each file is sealed: its metadata
hold a digest of all its bytes, and nothing of a file that does not have its digest is looked at.
Other readers find one more entry in the metadata, and older files have none.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_KEY = "sweep.seal"
_MARK = b"sweep.seal.5b1e07c4:"
_SIZE = 16
_OPEN = b"0" * (2 * _SIZE)
"""Stands for the digest while it is computed."""


def write_sealed(file: Any, schema: pa.Schema, tables: Iterable[pa.Table], **options: Any) -> None:
    """Write ``tables``, each in row groups of its own, and seal the file, which can seek.

    ``options`` are those of `pyarrow.parquet.ParquetWriter`.
    """
    digesting = _Digesting(file)
    with pq.ParquetWriter(
        digesting, schema, compression="zstd", write_page_checksum=True, **options
    ) as writer:
        for table in tables:
            writer.write_table(table)
        writer.add_key_value_metadata({_KEY: (_MARK + _OPEN).decode()})
    file.seek(digesting.mark + len(_MARK))
    file.write(digesting.digest.hexdigest().encode())
    file.seek(0, 2)


def is_broken(data: bytes) -> bool:
    """Whether a file was sealed and is not what was written any more."""
    place = data.rfind(_MARK)
    if place < 0:
        return False
    begin, end = place + len(_MARK), place + len(_MARK) + len(_OPEN)
    view = memoryview(data)
    digest = blake2b(view[:begin], digest_size=_SIZE)
    digest.update(_OPEN)
    digest.update(view[end:])
    return digest.hexdigest().encode() != data[begin:end]


class _Digesting:
    """A file that digests what is written to it, and notes where the mark was last."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._at, self._tail = 0, b""
        self.digest, self.mark = blake2b(digest_size=_SIZE), -1

    def write(self, data: Any) -> int:
        content = bytes(data)
        self.digest.update(content)
        # The mark may begin in what was written before.
        seam = self._tail + content
        place = seam.rfind(_MARK)
        if place >= 0:
            self.mark = self._at - len(self._tail) + place
        self._tail = seam[-len(_MARK) + 1 :]
        self._at += len(content)
        written: int = self._file.write(content)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
