"""How far a tracker is: a note beside the journal, durable before anything rests on it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter

from sweep import fsio
from sweep.paths import StudyPaths
from sweep.quantity import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What one tracker of a study was told.

    ``to`` is where it is, for people; ``seq`` the newest event that it knows, -1 for none, and
    ``time`` when that was: a journal that has another event there is not the one that was sent;
    ``points`` and ``trials`` are how much was ever sent, ``marks`` what the tracker wants to be
    reminded of. Where the last attempt failed, ``reason`` says why, and ``since`` (unix seconds)
    since when it does.
    """

    name: str
    to: str
    seq: int = -1
    time: float | None = None
    points: int = 0
    trials: int = 0
    marks: dict[str, Any] = field(default_factory=dict)
    since: float | None = None
    reason: str | None = None

    @property
    def where(self) -> str:
        """The name, and where it is, if that is known."""
        return f"{self.name} {self.to}".rstrip()

    def behind(self, last: int) -> str | None:
        """How it is behind a journal whose newest event is ``last``, in a line; None: it is not."""
        lack = self.lack(last)
        return None if lack is None else f"{self.name} is {lack}"

    def lack(self, last: int) -> str | None:
        """The same without the name: ``behind by 3 events: not sent yet``."""
        if self.seq >= last:
            return None
        when = "" if self.since is None else time.strftime(" since %F %T", time.gmtime(self.since))
        what = counted(last - self.seq, "event")
        return f"behind by {what}{when}: {self.reason or 'not sent yet'}"

    def record(self, last: int) -> dict[str, Any]:
        """For JSON."""
        described = asdict(self) | {"behind": self.behind(last)}
        del described["marks"]
        return described


def read_note(paths: StudyPaths, name: str) -> Note:
    """The note on the tracker called ``name``, or that nothing was sent yet."""
    try:
        data = (paths.trackers / f"{name}.json").read_bytes()
        found: Note = TypeAdapter(Note).validate_json(data, strict=True)
        return found
    except (OSError, ValueError):
        return Note(name=name, to="")


def write_note(paths: StudyPaths, note: Note) -> None:
    """Leave ``note`` for `read_note`, durably. Raises OSError where it cannot be written."""
    fsio.make_directory(paths.trackers)
    fsio.write_bytes(paths.trackers / f"{note.name}.json", json.dumps(asdict(note)).encode())
