"""Hints to the kernel for which Python has no function. They change when work is done, not what."""

from __future__ import annotations

import ctypes
from typing import Any

_SYNC_FILE_RANGE_WRITE = 2  # <linux/fs.h>
_MADV_HUGEPAGE = 14  # <asm-generic/mman-common.h>
_HUGE = 1 << 21


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
_madvise = _function("madvise", ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def start_writeback(descriptor: int) -> None:
    """Let the disk begin with what was written, so that a later sync finds most of it done."""
    _sync_file_range(descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)


def use_huge_pages(address: int, size: int) -> None:
    """Let fresh memory come in pages of 2 MiB: finding 512 small ones takes longer than filling."""
    begin = -(-address // _HUGE) * _HUGE
    end = (address + size) // _HUGE * _HUGE
    if begin < end:
        _madvise(begin, end - begin, _MADV_HUGEPAGE)
