"""Whether the processes of a trial are in step, seen from outside of the threads that train.

Ranks that call different numbers of collectives of ``torch.distributed`` before the same safe point
(one has a batch more than the other, say) wait for each other: one in a collective, the other at
the safe point, or in the save that was made there. Neither can notice; the process group's timeout,
half an hour by default, would end them. So each rank counts its safe points, and what it has called
before each, and another thread of it can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from sweep.trial.agreement import Place


class Question(Enum):
    """What the worker asks of a rank."""

    WHERE = "where"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rank is."""

    reached: int
    """How many safe points it has reached."""
    place: Place | None
    """The last of them."""
    before: int
    """Collectives that it had called when it reached that."""
    by_now: int
    """Collectives that it has called: all of them before it reached another safe point."""


class Footing:
    """Counts for one rank. `reach` is called by the thread that trains, `standing` by any."""

    def __init__(self, collectives: Callable[[], int]) -> None:
        """``collectives``: how many this process has called, from any thread."""
        self._collectives = collectives
        self._reached: tuple[int, Place | None, int] = (0, None, 0)

    def reach(self, place: Place) -> None:
        """A safe point is reached."""
        self._reached = (self._reached[0] + 1, place, self._collectives())

    def standing(self) -> Standing:
        by_now = self._collectives()  # first: what is reached after it does not count
        return Standing(*self._reached, by_now)


def out_of_step(standings: Mapping[int, Standing]) -> str | None:
    """What is wrong, where two ranks cannot both come to the same safe points; or None.

    Proof is a rank that has called more collectives on its way to a safe point than another one
    had when it reached that, or a later one. To be ahead is no fault: rank 0 waits for nobody.
    """
    for rank, here in standings.items():
        for other, there in standings.items():
            if there.reached < here.reached and there.by_now > here.before:
                return (
                    f"rank {rank} has come to {here.place} after {here.before} collectives of "
                    f"torch.distributed, but rank {other}, which has not, has called "
                    f"{there.by_now}: they wait for each other. All ranks must make as many steps "
                    "(of as many batches) and call the same collectives between them"
                )
    return None
