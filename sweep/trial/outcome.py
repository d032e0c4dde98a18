"""How an attempt ends, and the control flow that ends it early."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How one attempt of a trial ended."""

    COMPLETE = "complete"
    """The function returned."""
    PRUNED = "pruned"
    """The driver judged it not worth going on; its state was saved first, if it is tracked."""
    PAUSED = "paused"
    """The driver gave its slot to another one; it may go on later from the state that was saved."""
    STOPPED = "stopped"
    """The driver asked the trial to leave; it goes on later from the state that was saved."""
    FAILED = "failed"
    """The function raised, or its state could not be restored."""
    UNSAVED = "unsaved"
    """The store refused a checkpoint (a full disk, say): no fault of the trial's."""


class TrialExit(BaseException):
    """Leaves the trial function from a safe point.

    A `BaseException`, so that an ``except Exception`` in user code does not swallow it. A trial
    function may clean up with ``finally``; it must not catch this and go on.
    """

    outcome: Outcome


class TrialPruned(TrialExit):
    """Raised at a safe point after the driver pruned the trial and its state was saved."""

    outcome = Outcome.PRUNED


class TrialStopped(TrialExit):
    """Raised at a safe point after the driver asked the trial to stop and its state was saved."""

    outcome = Outcome.STOPPED


class TrialPaused(TrialExit):
    """Raised at a safe point after the driver paused the trial and its state was saved."""

    outcome = Outcome.PAUSED


class StartsAnew(BaseException):
    """Leaves an attempt whose function has begun anew, though its state is not that of a beginning.

    The attempt calls it again, from scratch. A `BaseException` for the same reason.
    """


def leaving(outcome: Outcome) -> TrialExit:
    """What leaves the trial function with ``outcome``."""
    kinds = {kind.outcome: kind for kind in (TrialPruned, TrialPaused, TrialStopped)}
    return kinds[outcome]()
