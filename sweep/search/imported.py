"""A study of another program in the terms of this package: a spec, and trials that are over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sweep.journal.event import TrialState


@dataclass(frozen=True, slots=True)
class ImportedReport:
    """Metrics at a step, made at ``time`` (unix seconds)."""

    step: int
    time: float
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedTrial:
    """A trial that is over; ``name`` is what it is called there. Times are in unix seconds."""

    name: str
    state: TrialState
    params: dict[str, Any]
    reports: Sequence[ImportedReport]
    """By step, and so by time."""
    started: float
    finished: float
    metrics: dict[str, float] = field(default_factory=dict)
    """What it came to beside what it reported."""
    measured: bool = True
    """Whether it is known of each constraint if it is kept."""
    reason: str | None = None
    """Why it is not complete, where that is known."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ImportedStudy:
    """``content`` is that of a spec, without the program. ``unfinished`` trials are left out, and
    ``notes`` say what is not as it was there."""

    content: dict[str, Any]
    trials: list[ImportedTrial]
    unfinished: int
    notes: list[str]
