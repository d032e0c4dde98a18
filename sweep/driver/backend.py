"""The port to whatever executes trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sweep.errors import SweepError
from sweep.spec import Resources
from sweep.trial.message import Assignment, Message, Verdict


class Key(NamedTuple):
    """Names an attempt among all that a driver has started."""

    study: str
    trial: int
    attempt: int

    @classmethod
    def of(cls, assignment: Assignment) -> Key:
        return cls(assignment.study, assignment.trial, assignment.attempt)


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """What an attempt ran on ended without a word: its process, its node, the network between.

    ``reason`` is what is known of it in a line, ``detail`` all that the backend says. The trial is
    not at fault.
    """

    reason: str
    detail: str = ""


Handler = Callable[[Key, "Message | WorkerDied"], None]


class Backend(Protocol):
    """Executes attempts. Few verbs: a driver needs no more, and each backend must hold them all.

    Every dispatched attempt ends in exactly one `Ended` or `WorkerDied`, unless it is killed.

    Attributes:
        fault: why nothing can be executed any more, if so; whoever drives must halt then.
    """

    name: str
    fault: SweepError | None

    def open(self) -> None:
        """Make ready. Raises `ResourceError` where there is nothing to run on."""

    def prepare(self, program: str, project: str, resources: Resources, count: int) -> None:
        """Make up to ``count`` slots ready, as many as fit, with ``program`` imported in each.

        Raises `ProgramError` where it cannot be imported, `BackendError` where there is nothing to
        import it any more.
        """

    def slots(self, resources: Resources) -> int:
        """How many trials with such ``resources`` fit when nothing runs."""

    def room(self, resources: Resources, project: str) -> bool:
        """True where one more such trial of ``project`` can begin now. Else room is made, if it
        can be, which takes a moment."""

    def shortage(self, resources: Resources) -> str | None:
        """Why trials with such ``resources`` wait for a place, where that is not just because
        others run: ``the cluster at ... has 1 node with cpu=1``."""

    def dispatch(self, assignment: Assignment, resources: Resources) -> None:
        """Start an attempt; there was `room` for it."""

    def poll(self, timeout: float, handle: Handler) -> None:
        """Hand over what attempts have said, waiting up to ``timeout`` seconds for the first."""

    def command(self, key: Key, verdict: Verdict) -> None:
        """Answer a report, or (`Verdict.STOP`) ask an attempt to save and leave."""

    def interrupt(self) -> None:
        """Called from a signal handler: let running trials see that they shall stop, if `command`
        cannot reach them before they come to a safe point."""

    def kill(self, key: Key) -> None:
        """End an attempt at once; nothing more is heard of it."""

    def close(self) -> None:
        """End all workers."""
