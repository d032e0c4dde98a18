"""Files that are exported: atomically and durably in their place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sweep import fsio
from sweep.errors import StoreError


def is_there(path: Path) -> bool:
    """Whether something is at ``path``.

    Raises:
        StoreError: nothing can be there.
    """
    try:
        return path.exists()
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}") from error


def place(path: Path, write: Callable[[Path], None]) -> None:
    """Have ``write`` make a file of another name, and put it to ``path``.

    Raises:
        StoreError: it cannot be written.
    """
    temporary = fsio.temporary_name(path.absolute())
    try:
        fsio.make_directory(temporary.parent)
        write(temporary)
        fsio.put(temporary, path.absolute())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
