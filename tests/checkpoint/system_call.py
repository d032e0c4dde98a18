"""Something happens at the n-th system call that Python code makes, in any of its threads.

The profiler's hook is called before each call of a C function; those that stand for a system call
which changes files are counted. Raising there makes the call fail without being made.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

CHANGING = frozenset(
    {"open", "write", "flush", "fsync", "link", "rename", "replace", "mkdir", "close"}
    | {"unlink", "rmdir", "remove"}
)


@contextmanager
def at_call(
    number: int, act: Callable[[str], object], names: frozenset[str] = CHANGING
) -> Iterator[None]:
    """Call ``act`` with the name of the ``number``-th call (from 1), before it is made."""
    lock, count = threading.Lock(), 0

    def hook(frame: Any, event: str, function: Any) -> None:
        nonlocal count
        if event != "c_call" or function.__name__ not in names:
            return
        if frame.f_code.co_filename == threading.__file__:
            return
        with lock:
            count += 1
            hit = count == number
        if hit:
            act(function.__name__)

    threading.setprofile(hook)
    sys.setprofile(hook)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
