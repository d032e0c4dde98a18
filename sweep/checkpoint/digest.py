"""Digests of the content of files.

BLAKE3 is a cryptographic hash (O'Connor et al., 2020) that one core computes several times as fast
as the disk writes; SHA-256, with which older versions named their files, is slower than the disk.
So a digest says its kind: 64 hex digits and ``-b3``, or 64 hex digits alone. It is a name of files.
"""

from __future__ import annotations

import hashlib
import re
from typing import Protocol

from blake3 import blake3

_MARK = "-b3"
PATTERN = rf"[0-9a-f]{{64}}(?:{_MARK})?"
"""Every digest, as a regular expression."""
_DIGEST = re.compile(PATTERN)


class Hash(Protocol):
    """A digest in the making. Other threads may run while it takes a large part."""

    def update(self, part: bytes | bytearray | memoryview, /) -> object:
        """Take the next part of the content."""

    def digest(self) -> str:
        """That of all that was taken."""


def begin(like: str | None = None) -> Hash:
    """A new digest, of the kind of ``like`` where one is given, else of the one for new files."""
    return _Sha256() if like is not None and not like.endswith(_MARK) else _Blake3()


def digest_of(data: bytes | bytearray | memoryview, like: str | None = None) -> str:
    """The digest of ``data``, as by `begin`."""
    made = begin(like)
    made.update(data)
    return made.digest()


def checked(digest: object) -> str:
    """``digest``, if it is one.

    Raises:
        ValueError: it is not, so it may not become a part of a path.
    """
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is no digest")
    return digest


class _Blake3:
    def __init__(self) -> None:
        self._made = blake3()
        self.update = self._made.update

    def digest(self) -> str:
        return self._made.hexdigest() + _MARK


class _Sha256:
    def __init__(self) -> None:
        self._made = hashlib.sha256()
        self.update = self._made.update

    def digest(self) -> str:
        return self._made.hexdigest()
