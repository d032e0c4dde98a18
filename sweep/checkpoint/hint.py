"""Hints to the kernel for which Python has no function. They change when work is done, not what."""

from __future__ import annotations

import ctypes
from typing import Any

_SYNC_FILE_RANGE_WRITE = 2  # <linux/fs.h>


def _function(name: str, *arguments: Any) -> Any:
    try:
        function = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):  # another system than Linux
        return lambda *_: None
    function.argtypes = arguments
    return function


_sync_file_range = _function(
    "sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint
)


def start_writeback(descriptor: int) -> None:
    """Let the disk begin with what was written, so that a later sync finds most of it done."""
    _sync_file_range(descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)
