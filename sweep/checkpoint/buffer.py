"""Memory that captures are copied into, kept from one save to the next.

A copy into memory that was used before costs one pass over the bytes; into fresh memory the system
must first find and clear every page, which takes several times as long.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch


class Lease:
    """The memory of one capture: whoever holds the lease is the only one who may write it."""

    def __init__(self, owner: Buffers | None, free: dict[Any, Any]) -> None:
        self._owner, self._free = owner, free
        self._used: dict[Any, Any] = {}

    def tensor(self, path: str, like: torch.Tensor) -> torch.Tensor:
        """Contiguous memory on the CPU of the shape and dtype of ``like``; its content is stale.

        It is pinned where ``like`` is on a CUDA device, so that a copy need not be waited for.
        """
        import torch

        pinned = like.device.type == "cuda"
        key = (path, like.dtype, like.shape, pinned)
        memory = self._free.pop(key, None)
        if memory is None:
            memory = torch.empty(like.shape, dtype=like.dtype, device="cpu", pin_memory=pinned)
        return self._take(key, memory)  # type: ignore[no-any-return]

    def ndarray(self, path: str, like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Memory in C order of the shape and dtype of ``like``; its content is stale."""
        import numpy

        key = (path, like.dtype.str, like.shape)
        memory = self._free.pop(key, None)
        if memory is None:
            memory = numpy.empty(like.shape, like.dtype)
        return self._take(key, memory)  # type: ignore[no-any-return]

    def release(self) -> None:
        """Give the memory back for the next capture. Once is enough, more does no harm."""
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.take_back(self._used)
        self._used, self._free = {}, {}

    def _take(self, key: Any, memory: Any) -> Any:
        if key in self._used:  # one name twice in one capture
            key = (key, len(self._used))
        self._used[key] = memory
        return memory


class Buffers:
    """Keeps the memory of one capture for the next. May be used from several threads.

    The memory is handed over, not shared: while a lease of it is out (a save in flight), another
    one gets fresh memory, so that nothing that is being written can be overwritten. A lease that
    is never released costs fresh memory next time, and nothing else. What a capture did not use
    again is let go.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: dict[Any, Any] = {}

    def lease(self) -> Lease:
        """All memory that is free, for one capture."""
        with self._lock:
            free, self._free = self._free, {}
        return Lease(self, free)

    def take_back(self, memory: dict[Any, Any]) -> None:
        """For `Lease.release`. One set is kept, the one that came back last."""
        with self._lock:
            self._free = memory
