"""Where a mirror lies: a directory, or a bucket of an S3 server, by names relative to a root.

A name is there whole or not at all: a put to S3 is atomic, and in a directory it is written aside,
synced and moved. Both raise `OSError` (pyarrow's are) when the other side cannot be had.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import parse_qs, unquote, urlsplit

from sweep import fsio
from sweep.errors import UsageError

TIMEOUT_S = 5.0
"""How long a server may take to accept a connection, and send nothing."""


class Place(Protocol):
    """Port to where files are kept; the six things that a mirror needs."""

    def put(self, name: str, parts: Iterable[bytes | memoryview]) -> int:
        """Store a file, atomically and durably, in place of one that was there; its size."""

    def open(self, name: str) -> Any:
        """A context with ``read(n)``. Raises FileNotFoundError where there is none."""

    def names(self, folder: str) -> dict[str, int]:
        """Names (relative to the root) and sizes of all files below ``folder``, at any depth."""

    def folders(self) -> list[str]:
        """Names of the folders directly below the root, in order; none where it is not there."""

    def size(self, name: str) -> int | None:
        """Size in bytes, or None where there is none."""

    def remove(self, name: str) -> None:
        """Remove a file. What is not there is no error."""


def place_at(uri: str) -> Place:
    """The place that ``uri`` names: an absolute path, ``file:///...`` or ``s3://bucket/...``.

    Options of an S3 server are ``?endpoint_override=``, ``scheme=`` and ``region=``; credentials
    come from the usual AWS variables and files.

    Raises:
        UsageError: it is none of these.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        return S3Place(uri)
    path = unquote(parts.path) if parts.scheme == "file" else uri
    if parts.scheme not in ("", "file") or not Path(path).expanduser().is_absolute():
        raise UsageError(f"{uri}: a mirror is s3://bucket/prefix or an absolute path")
    return DirectoryPlace(Path(path).expanduser())


def below(uri: str, name: str) -> str:
    """The URI of ``name`` below ``uri``; the options stay at the end."""
    head, mark, options = uri.partition("?") if "://" in uri else (uri, "", "")
    return f"{head.rstrip('/')}/{name}{mark}{options}"


class DirectoryPlace:
    """A directory of this machine, or one that is mounted."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, parts: Iterable[bytes | memoryview]) -> int:
        path = self._root / name
        fsio.make_directory(path.parent)
        size = 0
        with fsio.writing(path) as file:
            for part in parts:
                size += file.write(part)
        return size

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        with (self._root / name).open("rb") as file:
            yield file

    def names(self, folder: str) -> dict[str, int]:
        found = {}
        for parent, _, files in os.walk(self._root / folder):
            for file in files:
                path = Path(parent, file)
                if file.endswith(".tmp") and file.startswith("."):
                    continue
                with suppress(FileNotFoundError):
                    found[path.relative_to(self._root).as_posix()] = path.stat().st_size
        return found

    def folders(self) -> list[str]:
        try:
            return sorted(path.name for path in self._root.iterdir() if path.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def size(self, name: str) -> int | None:
        try:
            return (self._root / name).stat().st_size
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        path = self._root / name
        with suppress(FileNotFoundError):
            path.unlink()
            fsio.sync_directory(path.parent)

    def sweep(self) -> None:
        """Remove what writes that a kill cut short have left."""
        for path in self._root.rglob(".*.tmp"):
            path.unlink(missing_ok=True)


class S3Place:
    """A prefix in a bucket, through pyarrow."""

    def __init__(self, uri: str) -> None:
        from pyarrow import fs

        parts = urlsplit(uri)
        options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        unknown = options.keys() - {"endpoint_override", "scheme", "region"}
        if unknown:
            raise UsageError(
                f"{uri}: unknown option {min(unknown)}; there is endpoint_override, scheme, region"
            )
        self._root = f"{parts.netloc}{unquote(parts.path)}".rstrip("/")
        self._fs = fs.S3FileSystem(
            **options,
            connect_timeout=TIMEOUT_S,
            request_timeout=TIMEOUT_S,
            # Whoever uses this tries again in its own time, and must be able to give up: what is
            # under way at the end of a process holds it up.
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
            allow_delayed_open=True,
            background_writes=False,
        )

    def put(self, name: str, parts: Iterable[bytes | memoryview]) -> int:
        size = 0
        with self._fs.open_output_stream(f"{self._root}/{name}", compression=None) as stream:
            for part in parts:
                stream.write(part)
                size += len(part)
        return size

    def open(self, name: str) -> Any:
        return self._fs.open_input_stream(f"{self._root}/{name}", compression=None)

    def names(self, folder: str) -> dict[str, int]:
        from pyarrow import fs

        selector = fs.FileSelector(f"{self._root}/{folder}", recursive=True, allow_not_found=True)
        return {
            info.path.removeprefix(f"{self._root}/"): info.size
            for info in self._fs.get_file_info(selector)
            if info.is_file
        }

    def folders(self) -> list[str]:
        from pyarrow import fs

        selector = fs.FileSelector(self._root, recursive=False, allow_not_found=True)
        found = self._fs.get_file_info(selector)
        return sorted(info.base_name for info in found if not info.is_file)

    def size(self, name: str) -> int | None:
        info = self._fs.get_file_info(f"{self._root}/{name}")
        return cast(int, info.size) if info.is_file else None

    def remove(self, name: str) -> None:
        # pyarrow would make an empty marker for the folder, and ask for it before.
        with suppress(FileNotFoundError):
            self._fs.delete_file(f"{self._root}/{name}")
