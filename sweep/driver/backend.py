"""The port to whatever executes trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

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
    """The process of an attempt ended without a word; ``reason`` is what is known of it in a line,
    ``detail`` all that the backend says."""

    reason: str
    detail: str = ""


Handler = Callable[[Key, "Message | WorkerDied"], None]


class Backend(Protocol):
    """Executes attempts. Six verbs: a driver needs no more, and each backend must hold them all.

    Every dispatched attempt ends in exactly one `Ended` or `WorkerDied`, unless it is killed.
    """

    name: str

    def open(self) -> None:
        """Make ready. Raises `ResourceError` where there is nothing to run on."""

    def prepare(self, program: str, project: str, resources: Resources, count: int) -> None:
        """Make ``count`` slots ready, with ``program`` imported in each.

        Raises `ProgramError` where it cannot be imported.
        """

    def slots(self, resources: Resources) -> int:
        """How many trials with such ``resources`` fit when nothing runs."""

    def room(self, resources: Resources) -> bool:
        """True where one more such trial fits now."""

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
