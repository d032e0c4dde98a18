"""The copy of a study elsewhere: checkpoints by content, the journal, and whose it is.

::

    <mirror>/<study>/owner.json
    <mirror>/<study>/objects/ab/<digest>[.zst]         each once, however many checkpoints name it
    <mirror>/<study>/manifests/00003/<stem>.json       after all objects that it names
    <mirror>/<study>/journal/00000000-00000041.parquet after all manifests that it names

Each upload is held against what the other side then says: small files are read back whole. Of
larger ones the size is compared, since to read them back would double the traffic, and what can go
wrong on the way does not go unnoticed: S3 checks each part against a checksum that is sent along.
Whoever reads an object checks its digest.
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from sweep import fsio
from sweep.checkpoint.blob import Written
from sweep.checkpoint.compression import LEVEL, SUFFIX, itemsize_of, pack, unpack
from sweep.checkpoint.digest import begin, digest_of
from sweep.checkpoint.manifest import load
from sweep.checkpoint.place import Place, place_at
from sweep.errors import CheckpointDamagedError, MirrorError, StoreError, SweepError

READ_BACK = 8 * 1024 * 1024
"""Uploads of at most this many bytes are read back and compared."""

_CHUNK = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """Whose mirror it is. ``study`` identifies the study, ``session`` the driver that writes it."""

    study: str
    session: str
    host: str
    path: str


class Mirror:
    """The files of one study in ``place``. Methods raise OSError where it cannot be had."""

    def __init__(self, place: Place, *, level: int | None = None) -> None:
        """``level`` of zstd for objects to come; None: they are stored as they are."""
        self._place, self._level = place, level

    def owner(self) -> Owner | None:
        """Whose it is, or None where nothing was begun.

        Raises:
            MirrorError: the file that says so is not whole.
        """
        try:
            return Owner(**json.loads(self.read("owner.json")))
        except FileNotFoundError:
            return None
        except (TypeError, ValueError) as error:
            raise MirrorError(f"owner.json: is no description of an owner: {error}") from error

    def own(self, owner: Owner) -> None:
        self.write("owner.json", json.dumps(asdict(owner)).encode())

    def names(self, folder: str) -> dict[str, int]:
        """Names and sizes of what is below ``folder`` (objects, manifests or journal)."""
        return self._place.names(folder)

    def read(self, name: str) -> bytes:
        with self._place.open(name) as stream:
            return b"".join(_read(stream))  # pyarrow's own read of all takes quadratic time

    def write(self, name: str, data: bytes) -> None:
        """Store a small file, and read it back.

        Raises:
            StoreError: what is there afterwards is not what was sent.
        """
        self._stored(name, self._place.put(name, [data]), data)

    def remove(self, name: str) -> None:
        self._place.remove(name)

    def write_object(self, path: Path, written: Written) -> str:
        """Store the content of ``path``, which must be as ``written``; the object's name.

        A file that is packed is stored as it is.

        Raises:
            CheckpointDamagedError: the file is not what it should be.
            FileNotFoundError: it is not there.
            StoreError: as `write`.
        """
        with path.open("rb") as file, _mapped(file.fileno()) as data:
            if _digest(data, written, path) != written.digest:
                raise CheckpointDamagedError(f"{path}: its content is not what was saved")
            name = object_name(written.digest)
            parts, as_it_is = _chunks(data), True
            if written.packed is None and self._level is not None:
                parts, as_it_is = pack([data], len(data), itemsize_of(data), self._level), False
            if written.packed is not None or not as_it_is:
                name += SUFFIX
            with closing(parts):  # it holds a view of the mapping, which must be gone first
                size = self._place.put(name, parts)
            small = bytes(data) if as_it_is and size <= READ_BACK else None
        self._stored(name, size, small)
        return name

    def fetch_object(self, written: Written, target: Path) -> bool:
        """Write the object to ``target``, atomically, durably, verified. False: there is none.

        It is packed there if ``written`` says so, whatever its form in the mirror is.

        Raises:
            CheckpointDamagedError: the mirror's copy is damaged, too.
        """
        name = object_name(written.digest)
        for each in (name, name + SUFFIX):
            if self._place.size(each) is None:
                continue
            receive = _receive_packed if each.endswith(SUFFIX) else _receive_plain
            with self._place.open(each) as stream, fsio.writing(target) as file:
                if receive(stream, each, written, file) != written.digest:
                    raise CheckpointDamagedError(f"{each}: the mirror's copy is damaged")
            return True
        return False

    def _stored(self, name: str, size: int, data: bytes | None) -> None:
        there = self._place.size(name)
        if there == size and (data is None or size > READ_BACK or self.read(name) == data):
            return
        self._place.remove(name)
        raise StoreError(f"{name}: is not there as it was sent ({there} of {size} bytes)")


class MirrorSource:
    """Gives a store whole copies of files that are damaged or missing in it."""

    def __init__(self, mirror: Callable[[], Mirror]) -> None:
        """``mirror`` is made when it is first needed: most stores never are damaged."""
        self._make = mirror

    @classmethod
    def at(cls, uri: str | None) -> MirrorSource | None:
        """The source at ``uri``, the study's folder in a mirror; None where there is none."""
        return None if uri is None else cls(lambda: Mirror(place_at(uri)))

    @cached_property
    def _mirror(self) -> Mirror:
        return self._make()

    def fetch(self, name: str, expected: Written | None, target: Path) -> bool:
        """Write the file ``name`` (relative to ``checkpoints/``) to ``target``, verified.

        ``expected`` is what the manifest says of it; None for a manifest, which vouches for itself.
        False where the mirror has no whole copy or cannot be reached; ``target`` is as it was then.
        """
        try:
            fsio.make_directory(target.parent)
            if expected is not None:
                return self._mirror.fetch_object(expected, target)
            data = self._mirror.read(name)
            load(data, name)
            fsio.write_bytes(target, data)
        except (OSError, SweepError):
            return False
        return True


def object_name(digest: str) -> str:
    return f"objects/{digest[:2]}/{digest}"


@contextmanager
def _mapped(descriptor: int) -> Iterator[memoryview]:
    """The bytes of an open file, without reading them all into memory."""
    size = os.fstat(descriptor).st_size
    if not size:
        yield memoryview(b"")
        return
    with mmap.mmap(descriptor, size, prot=mmap.PROT_READ) as mapping, memoryview(mapping) as view:
        yield view


def _digest(data: memoryview, written: Written, path: Path) -> str:
    """The digest of what is in a file whose bytes are ``data``."""
    if written.packed is None:
        return digest_of(data, written.digest)
    at = 0

    def read(size: int) -> bytes:
        nonlocal at
        at += size
        return bytes(data[at - size : at])

    digest = begin(written.digest)
    for part in unpack(read, str(path), written.bytes):
        digest.update(part)
    return digest.digest()


def _receive_packed(stream: Any, name: str, written: Written, file: BinaryIO) -> str:
    """The digest of what is in a packed object that becomes ``file``: as it is, or unpacked."""
    as_it_is = written.packed is not None

    def read(size: int) -> bytes:
        data: bytes = stream.read(size)
        if as_it_is:
            file.write(data)
        return data

    digest = begin(written.digest)
    for part in unpack(read, name, written.bytes):
        digest.update(part)
        if not as_it_is:
            file.write(part)
    return digest.digest()


def _receive_plain(stream: Any, name: str, written: Written, file: BinaryIO) -> str:
    """The digest of an object that becomes ``file``: as it is, or packed."""
    digest = begin(written.digest)

    def parts() -> Iterator[bytes]:
        for part in _read(stream):
            digest.update(part)
            yield part

    given = parts()
    if written.packed is None:
        file.writelines(given)
        return digest.digest()
    first = next(given, b"")
    itemsize = itemsize_of(memoryview(first))
    file.writelines(pack(itertools.chain([first], given), written.bytes, itemsize, LEVEL))
    return digest.digest()


def _chunks(data: memoryview) -> Generator[bytes]:
    for start in range(0, len(data), _CHUNK):
        yield bytes(data[start : start + _CHUNK])


def _read(stream: Any) -> Iterator[bytes]:
    while part := stream.read(_CHUNK):
        yield part
