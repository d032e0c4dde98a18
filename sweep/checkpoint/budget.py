"""Bytes: what the checkpoints of a study take in all, and whether one more fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from sweep.checkpoint.record import CheckpointRecord

RESERVE_BYTES = 16 * 1024**2
"""Left free by every save, so that the journal can still be written on a disk that is full."""


class Ledger:
    """The size on the disk of a set of checkpoints; a file that several share counts once.

    Attributes:
        total: bytes in all.
    """

    def __init__(self, records: Iterable[CheckpointRecord] = ()) -> None:
        self.total = 0
        self._users: Counter[str] = Counter()
        for record in records:
            self.add(record)

    def add(self, record: CheckpointRecord) -> None:
        """Count a checkpoint that is not counted yet."""
        self.total += own_bytes(record)
        for name, size in dict(record.shared).items():
            self.total += 0 if self._users[name] else size
            self._users[name] += 1

    def remove(self, record: CheckpointRecord) -> None:
        """Cease to count a checkpoint that is counted."""
        self.total -= own_bytes(record)
        for name, size in dict(record.shared).items():
            self._users[name] -= 1
            if not self._users[name]:
                self.total -= size
                del self._users[name]


def own_bytes(record: CheckpointRecord) -> int:
    """Size of the files that no other checkpoint can hold."""
    return record.bytes - sum(dict(record.shared).values())


class Room(StrEnum):
    """Whether there is room for a save."""

    ENOUGH = "enough"
    OVER_BUDGET = "over budget"
    """It fits on the disk; the study is over its budget until retention has made room."""
    DISK_FULL = "disk full"
    """It does not fit: nothing must be written."""


def room(needed: int, free: int, budget_left: int | None) -> Room:
    """Judge a save before it begins.

    Args:
        needed: bytes that it will write; that of the save before is a good guess.
        free: bytes that the file system has for this user.
        budget_left: bytes of ``keep.bytes`` that are not used (below 0 where it is exceeded), or
            None without a budget. It never forbids a save: what goes instead may only go once the
            new checkpoint is durable.
    """
    if needed + RESERVE_BYTES > free:
        return Room.DISK_FULL
    if budget_left is not None and needed > budget_left:
        return Room.OVER_BUDGET
    return Room.ENOUGH
