"""When to save: pure functions of what happened since the last save."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Save every so many epochs, steps or seconds; of several, whichever comes first.

    With all of them None only the saves that never depend on a policy are made: when the driver
    stops or prunes the trial, and at its end.
    """

    epochs: int | None = None
    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"checkpoint every {name} must be above 0, not {value}")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What happened since the last save (or the start, or the restore)."""

    epochs: int = 0
    """Completed epochs; outside ``epochs()`` completed reports."""
    steps: int = 0
    """Completed calls of ``trial.step()``."""
    seconds: float = 0.0


def due(policy: Policy, since: Progress) -> bool:
    """True where ``policy`` asks for a save after ``since``."""
    return (
        _reached(policy.epochs, since.epochs)
        or _reached(policy.steps, since.steps)
        or _reached(policy.seconds, since.seconds)
    )


def _reached(every: float | None, since: float) -> bool:
    return every is not None and since >= every
