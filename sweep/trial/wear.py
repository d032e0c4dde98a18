"""When a worker has had its time: trials leave memory behind that nobody can free."""

from __future__ import annotations

import ctypes
import gc
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LEAST_GROWTH = 256 * 1024**2
"""A library that is imported late, or a cache, takes less."""

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class Endurance:
    """What a worker may come to before it is replaced.

    So many ``trials``, or bytes of ``memory`` between two trials. Without ``memory`` that is what
    it had after its first trial and a quarter of its share of the machine's memory beyond (as much
    of that as a trial has of the cores, ``cores``).
    """

    trials: int | None = None
    memory: int | None = None
    cores: float = 1.0

    @property
    def growth(self) -> float:
        """The growth, in bytes, at which a worker is replaced where no ``memory`` is given."""
        share = min(1.0, self.cores / (os.cpu_count() or 1))
        return max(LEAST_GROWTH, share * machine_memory() / 4)


class Wear:
    """Counts what a worker has done. Of its trial thread."""

    def __init__(self) -> None:
        self._trials = 0
        self._first: int | None = None

    def another(self, endurance: Endurance) -> bool:
        """A trial is over, and nothing of it is left: whether the worker is to be replaced now."""
        self._trials += 1
        if endurance.trials is not None and self._trials >= endurance.trials:
            return True
        memory = own_memory()
        if self._first is None:
            self._first = memory
        limit = endurance.memory or self._first + endurance.growth
        if memory <= limit:
            return False
        gc.collect()
        with suppress(AttributeError):  # a C library without it
            ctypes.CDLL(None).malloc_trim(0)
        return own_memory() > limit


def own_memory() -> int:
    """Bytes of this process's memory that it does not share with others."""
    resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def machine_memory() -> int:
    """Bytes of memory that this machine, or the container, has."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # another version of cgroups, or "max"
            found.append(int(Path(path).read_text()))
    return min(found)
