"""What happened in a study, and when: all events but the reports, which the tables have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.journal.attempt import Attempt, End
from sweep.journal.event import (
    PREAMBLE,
    AttemptFailed,
    AttemptInterrupted,
    AttemptStopped,
    DriverStarted,
    DriverStopped,
    Entry,
    Event,
    SpecChanged,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialForked,
    TrialPaused,
    TrialPromoted,
    TrialReported,
    TrialTold,
)
from sweep.journal.segment import read_entries


@dataclass(slots=True)
class Session:
    """A driver's time. ``ended`` is the last that is known of it; ``reason`` is None where it was
    killed, or runs."""

    number: int
    began: float
    ended: float
    host: str
    slots: int | None
    versions: Mapping[str, str]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that raised, or whose worker died; or a trial that failed otherwise."""

    trial: int
    attempt: int
    reason: str
    error: str


@dataclass(slots=True)
class Chronicle:
    """Follows the journal.

    Attributes:
        latents: what the sampler knows of each trial's parameters, by number.
        front: the trials on the Pareto front of several objectives.
        promotions: when a paused trial might go on, which one, and beyond which rung.
    """

    spec: dict[str, Any] = field(default_factory=dict)
    project: str = ""
    changes: list[list[str]] = field(default_factory=list)
    time: float = 0.0
    sessions: list[Session] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    promotions: list[tuple[float, int, int]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    latents: dict[int, dict[str, list[Any]]] = field(default_factory=dict)
    values: dict[int, list[float]] = field(default_factory=dict)
    front: set[int] = field(default_factory=set)
    _open: dict[int, Attempt] = field(default_factory=dict)

    def follow(self, entry: Entry) -> None:
        """Advance by one event."""
        if isinstance(entry.event, DriverStarted):
            self._begin(entry.event, entry.time)
        self.time = entry.time
        if self.sessions and entry.event.type not in PREAMBLE | {TrialForked.type}:
            self.sessions[-1].ended = entry.time
        self._note(entry.event, entry.time)

    def _begin(self, event: DriverStarted, time: float) -> None:
        for attempt in self._open.values():  # the driver was killed while these ran
            attempt.ended, attempt.end = self.sessions[-1].ended, End.KILLED
        self._open.clear()
        self.sessions.append(
            Session(event.session, time, time, event.host, event.slots, event.versions)
        )

    def _note(self, event: Event, time: float) -> None:
        match event:
            case StudyCreated():
                self.spec, self.project = event.spec, event.project
            case SpecChanged():
                self.spec, self.project = event.spec, event.project
                self.changes.append(event.changes)
            case DriverStopped():
                self.sessions[-1].reason = event.reason
            case TrialAsked():
                self.latents[event.trial] = event.latents
            case TrialForked() if event.inside:
                self.latents[event.trial] = event.latents
            case TrialDispatched():
                attempt = Attempt(event.trial, event.attempt, time, time)
                self._open[event.trial] = attempt
                self.attempts.append(attempt)
            case TrialPaused():
                self._leave(event.trial, time, End.PAUSED)
            case AttemptStopped():
                self._leave(event.trial, time, End.STOPPED)
            case AttemptFailed():
                self._leave(event.trial, time, End.FAILED)
                self.failures.append(Failure(event.trial, event.attempt, event.reason, event.error))
            case AttemptInterrupted():
                self._leave(event.trial, time, End.INTERRUPTED)
                self.failures.append(Failure(event.trial, event.attempt, event.reason, event.error))
            case TrialPromoted():
                self.promotions.append((time, event.trial, event.rung))
            case TrialFinished():
                self._finish(event, time)
            case TrialTold():
                self.front -= set(event.left)
                self.front |= {event.trial} if event.entered else set()

    def _leave(self, trial: int, time: float, end: End) -> None:
        attempt = self._open.pop(trial, None)
        if attempt is not None:
            attempt.ended, attempt.end = time, end

    def _finish(self, event: TrialFinished, time: float) -> None:
        self._leave(event.trial, time, End(str(event.state).lower()))
        values = event.values or (None if event.value is None else [event.value])
        if event.state == "COMPLETE" and values is not None:
            self.values[event.trial] = values
        known = self.failures[-1] if self.failures else None
        said = (known.trial, known.error) if known else None
        if event.state == "FAILED" and said != (event.trial, event.error or ""):
            self.failures.append(
                Failure(event.trial, event.attempt, event.reason or "failed", event.error or "")
            )

    def conclude(self, *, running: bool) -> None:
        """Nothing more is known: what has not ended is running, or was killed."""
        for attempt in self._open.values():
            attempt.ended, attempt.end = self.time, End.RUNNING if running else End.KILLED


def chronicle_of(entries: Iterable[Entry]) -> Chronicle:
    """What ``entries`` say."""
    chronicle = Chronicle()
    for entry in entries:
        chronicle.follow(entry)
    return chronicle


def read_chronicle(journal: Path, until: int) -> Chronicle:
    """What the journal in a directory says, up to the event ``until``.

    Raises:
        JournalError: it is damaged.
    """
    entries = read_entries(journal, without={TrialReported.type})
    return chronicle_of(entry for entry in entries if entry.seq <= until)
