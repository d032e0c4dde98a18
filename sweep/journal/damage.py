"""Where bytes are read that anybody may have changed, whatever goes wrong is called damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.errors import JournalError, SweepError


@contextmanager
def foreign(path: Path) -> Iterator[None]:
    """Have any exception that bytes of ``path`` lead to in the block be a `JournalError`.

    A flipped bit can make anything of a file: a text that is no Unicode, a number where a name
    should be. No study may hide another one by that. What the system says passes.
    """
    try:
        yield
    except (SweepError, OSError):
        raise
    except Exception as error:
        raise JournalError(
            f"{path}: damaged ({line_of(error)}); nothing was changed; `sweep verify` looks at all "
            "of it; restore it from a mirror (`sweep pull`) or a backup"
        ) from error


def line_of(error: BaseException) -> str:
    """What an exception says, in one line."""
    said = str(error).splitlines()
    return said[0].rstrip(".") if said and said[0] else type(error).__name__
