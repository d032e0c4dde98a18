"""Reads the files of checkpoints, verified, and mends them where another copy can be had."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from sweep import fsio
from sweep.checkpoint.blob import Array, OpenBlob, Written, unreadable
from sweep.checkpoint.layout import Layout, shared_name
from sweep.checkpoint.manifest import Blob, Manifest, load
from sweep.checkpoint.pool import Pool, is_whole, trust
from sweep.errors import CheckpointDamagedError, CheckpointError

_THREADS = 2
_TOGETHER = 1 << 20
"""From so many bytes on it pays to start threads."""
_Result = TypeVar("_Result")


class Source(Protocol):
    """Another copy of the files of a study's checkpoints: a mirror."""

    def fetch(self, name: str, expected: Written | None, target: Path) -> bool:
        """Write the file called ``name`` to the new file ``target``; False where it has none.

        ``name`` is relative to ``checkpoints/``, such as ``manifests/00003/....json``,
        ``blobs/00003/<stem>/state.safetensors`` or ``pool/ab/<digest>.safetensors``. ``expected``
        is what a manifest says of it (packed, where that says so), None for a manifest, which
        vouches for itself. Who calls verifies what comes before believing it. May raise OSError.
        """


class Reader:
    """Reads below one directory. With a ``source``, files can be mended."""

    def __init__(self, layout: Layout, pool: Pool, source: Source | None) -> None:
        self._layout, self._pool, self._source = layout, pool, source

    def manifest(self, name: str, *, repair: bool) -> tuple[Manifest, bytes]:
        """A manifest, and the bytes of its file.

        Raises:
            CheckpointDamagedError: it is missing, or not as it was written.
            CheckpointMismatchError: it was written by a newer version of this package.
        """
        try:
            return self._manifest(self._layout.manifest(name))
        except CheckpointDamagedError:
            if repair and self._fetch_manifest(name):
                return self._manifest(self._layout.manifest(name))
            raise

    def arrays(
        self, manifest: Manifest, name: str, needed: Collection[str], *, repair: bool
    ) -> dict[str, Array]:
        """The arrays called ``needed``, and what else lies in the same files.

        Raises:
            CheckpointDamagedError: a file is missing or not as it was saved.
        """
        alone = {array for blob in manifest.blobs for array in blob.arrays}
        mixed = not alone.issuperset(needed)
        blobs = [
            blob
            for blob in manifest.blobs
            if (not set(blob.arrays).isdisjoint(needed) if blob.shared else mixed)
        ]
        found: dict[str, Array] = {}
        read = self._each(name, blobs, OpenBlob.read, repair, OpenBlob.begin)
        for blob, arrays in zip(blobs, read, strict=True):
            if blob.shared:
                (array,) = arrays.values()
                found |= dict.fromkeys(blob.arrays, array)
            else:
                found |= arrays
        return found

    def check(self, manifest: Manifest, name: str, *, repair: bool) -> None:
        """Read every byte of every file.

        Raises:
            CheckpointDamagedError: a file is missing or not as it was saved.
        """
        self._each(name, manifest.blobs, OpenBlob.check, repair)

    def _manifest(self, path: Path) -> tuple[Manifest, bytes]:
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise CheckpointDamagedError(f"{path}: is missing") from error
        except OSError as error:
            raise unreadable(path, error) from error
        return load(data, str(path)), data

    def _each(
        self,
        name: str,
        blobs: Collection[Blob],
        act: Callable[[OpenBlob, Written], _Result],
        repair: bool,
        begin: Callable[[OpenBlob, Written], None] = lambda file, expected: None,
    ) -> list[_Result]:
        """``act`` on every file. All are opened, and begun with, before the first is read.

        So a retention that removes their names meanwhile does no harm. Beyond half of the file
        descriptors that the process may have, files are opened when they are read.
        """
        paths = {blob.path: self._layout.blob(blob, self._layout.manifest(name)) for blob in blobs}
        ahead = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        opened: dict[str, OpenBlob] = {}

        def read(blob: Blob) -> _Result:
            path = paths[blob.path]
            try:
                with opened.pop(blob.path, None) or OpenBlob(path) as file:
                    result = act(file, blob.written)
                    trust(file.status())
                    return result
            except CheckpointDamagedError:
                if not (repair and self._mend(blob, path)):
                    raise
            with OpenBlob(path) as file:
                return act(file, blob.written)

        with ExitStack() as stack:
            for blob in list(blobs)[:ahead]:
                try:
                    file = stack.enter_context(OpenBlob(paths[blob.path]))
                    begin(file, blob.written)
                    opened[blob.path] = file
                except CheckpointDamagedError:
                    if not repair:
                        raise
                except CheckpointError:  # too many are open: leave room for others to open theirs
                    for _ in range(len(opened) // 2 + 1):
                        if opened:
                            opened.popitem()[1].close()
                    break
            if sum(blob.written.bytes for blob in blobs) < _TOGETHER:
                return [read(blob) for blob in blobs]
            files = list(opened.values())
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="checkpoint-file") as executor:
                found = executor.map(read, blobs)
                helping = executor.submit(_help, files)  # by who finds no file left
                try:
                    return list(found)
                finally:
                    helping.cancel()  # where a file is damaged, nobody needs the others

    def _mend(self, blob: Blob, path: Path) -> bool:
        """Replace a file that is missing or damaged; False where no good copy can be had."""
        with suppress(OSError):
            temporary = _beside(path)
            try:
                if blob.shared and self._pool.link(blob.written, temporary):
                    fsio.put(temporary, path)
                    return True
                if not self._fetch_blob(blob, temporary):
                    return False
                fsio.put(temporary, path)
                if blob.shared:
                    self._pool.expel(shared_name(blob.written))
                    self._pool.add(blob.written, path)
                return True
            finally:
                temporary.unlink(missing_ok=True)
        return False

    def _fetch_blob(self, blob: Blob, target: Path) -> bool:
        if self._source is None:
            return False
        names = [f"blobs/{blob.path}"]
        if blob.shared:
            shared = shared_name(blob.written)
            names.insert(0, f"pool/{shared[:2]}/{shared}")
        fsio.make_directory(target.parent)
        for name in names:
            target.unlink(missing_ok=True)
            fetched = self._source.fetch(name, blob.written, target)
            if fetched and is_whole(target, blob.written, trusting=False):
                return True
        return False

    def _fetch_manifest(self, name: str) -> bool:
        if self._source is None:
            return False
        path = self._layout.manifest(name)
        with suppress(OSError):  # of which a damaged copy is one
            fsio.make_directory(path.parent)
            temporary = _beside(path)
            try:
                if not self._source.fetch(f"manifests/{name}", None, temporary):
                    return False
                found, _ = self._manifest(temporary)
                if found.name != name:
                    return False
                fsio.put(temporary, path)
                return True
            finally:
                temporary.unlink(missing_ok=True)
        return False


def _help(files: Collection[OpenBlob]) -> None:
    for file in files:
        file.read_ahead()


def _beside(path: Path) -> Path:
    """A temporary name that `CheckpointStore.delete` knows, one for each thread."""
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
