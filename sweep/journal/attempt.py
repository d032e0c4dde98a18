"""The executions of a trial: when each had a slot, what it did there, and what ended it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class End(StrEnum):
    """How an attempt left its slot."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    PAUSED = "paused"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    KILLED = "killed"


@dataclass(slots=True)
class Attempt:
    """A stay of a trial on a slot.

    Attributes:
        ended: when it left, in Unix seconds; of one that runs, or was killed with its driver, when
            the driver was last heard of.
        checkpoint: what it went on from; None where it began at the start.
        steps: at so many it has reported.
        lost: so many steps were not in the checkpoint that the next attempt went on from, and were
            made again: calls of ``trial.step()``, or reports where the trial calls none.
    """

    trial: int
    number: int
    began: float
    ended: float
    end: End = End.RUNNING
    session: int = 0
    checkpoint: str | None = None
    steps: int = 0
    lost: int = 0
