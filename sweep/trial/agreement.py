"""What is decided at a safe point, and how all processes of a trial come to do the same.

Rank 0 decides, since it alone knows what the driver wants and how long the last save took. Its word
goes to each other rank together with the place where it was said, so that a rank that is elsewhere
is found out. Rank 0 waits for nobody. Where it waits in a collective for a rank that waits here,
the worker finds that out: see `sweep.trial.footing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sweep.checkpoint.part import Channel
from sweep.errors import RankError, UsageError
from sweep.trial.autosave import Demand
from sweep.trial.outcome import Outcome


class Place(NamedTuple):
    """A safe point of a trial; ``at`` says of what kind."""

    at: str
    epoch: int
    global_step: int
    reports: int

    def __str__(self) -> str:
        return f"{self.at} (epoch {self.epoch}, step {self.global_step})"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a safe point is to do: save, if there is a ``demand``, then ``leave`` or go on."""

    demand: Demand | None = None
    leave: Outcome | None = None


GO_ON = Decision()


class Agreement(Protocol):
    """Port to the other processes of the trial."""

    @property
    def size(self) -> int:
        """How many processes there are."""

    @property
    def rank(self) -> int:
        """The number of this one, from 0."""

    def reach(self, place: Place, decide: Callable[[], Decision]) -> Decision:
        """What all ranks do at ``place``. Only rank 0 asks ``decide``.

        Raises:
            UsageError: this rank is elsewhere than rank 0.
            RankError: another rank is gone.
        """


class Alone:
    """One process, which is the usual thing."""

    size, rank = 1, 0

    def reach(self, place: Place, decide: Callable[[], Decision]) -> Decision:
        return decide()


class Leader:
    """Rank 0."""

    rank = 0

    def __init__(self, followers: Sequence[Channel], reached: Callable[[Place], object]) -> None:
        """``reached`` is told of each place before anything else happens there."""
        self._followers, self.size = followers, 1 + len(followers)
        self._reached = reached

    def reach(self, place: Place, decide: Callable[[], Decision]) -> Decision:
        self._reached(place)
        decision = decide()
        for rank, follower in enumerate(self._followers, 1):
            try:
                follower.send((place, decision))
            except ConnectionError:
                raise RankError(f"rank {rank} is gone") from None
        return decision


class Follower:
    """Any other rank."""

    def __init__(
        self,
        leader: Channel,
        rank: int,
        size: int,
        reached: Callable[[Place], object],
    ) -> None:
        """``reached``: as of `Leader`."""
        self._leader, self.rank, self.size = leader, rank, size
        self._reached = reached

    def reach(self, place: Place, decide: Callable[[], Decision]) -> Decision:
        self._reached(place)
        theirs: Place
        decision: Decision
        try:
            theirs, decision = self._leader.recv()
        except (EOFError, ConnectionError):
            raise RankError("rank 0 is gone") from None
        if theirs != place:
            raise UsageError(
                f"rank {self.rank} is at {place}, but rank 0 at {theirs}: all ranks must call "
                "trial.epochs, step, report and checkpoint alike"
            )
        return decision
