"""Studies of a store that other processes run, as far as their journals have come.

What wakes a look is time, not the system: no library for that is a dependency, inotify says nothing
of a network's file system, and to list a directory every quarter of a second costs next to nothing.
A journal is read on from where it was; one that nobody runs only when its directory has changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sweep.cli.live.slots import Slots
from sweep.cli.live.view import RUNNING, StudyLine, Subject, View, study_line, view
from sweep.cli.place import find_study
from sweep.driver.glance import glance
from sweep.driver.plan import Limits
from sweep.errors import SweepError
from sweep.journal.damage import foreign
from sweep.journal.event import DriverStarted, Entry, SpecChanged, TrialState
from sweep.journal.follower import Follower
from sweep.journal.journal import beginning_of
from sweep.journal.listing import list_segments, newest_event, studies
from sweep.journal.lock import holder
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.spec import StudySpec
from sweep.spec.section import Goal

_SETTLED_NS = 100_000_000
"""A directory's time of change is only trusted when it is so old: file systems count in ticks."""


class StudyWatch:
    """One study: followed from the moment that it runs, before that as `sweep ls` says it.

    Attributes:
        subject: the study where it is followed and its journal was read to the end once.
        seq: the newest event that is known.
    """

    def __init__(self, paths: StudyPaths, *, follow: bool) -> None:
        """``follow`` it even where it does not run."""
        self.paths, self._follow = paths, follow
        self._stamp: int | None = None
        self._first: tuple[str, int, int] | None = None
        self._running = False
        self._idle: StudyLine | None = None
        self._error: str | None = None
        self._begin()

    def _begin(self) -> None:
        self.subject: Subject | None = None
        self._follower: Follower | None = None
        self._entries: Iterator[Entry] | None = None
        self._reading: Subject | None = None

    @property
    def seq(self) -> int:
        return -1 if self._follower is None else self._follower.state.seq

    @property
    def behind(self) -> bool:
        """Whether a reading is under way that the last look had no time to end."""
        return self._entries is not None

    def look(self, until: float) -> None:
        """See what has come; stop reading at ``until``, in monotonic time.

        Raises:
            FileNotFoundError: the study was removed.
        """
        was = self._running
        try:
            self._running = holder(self.paths.lock) is not None
            # After the lock: what a driver wrote before it let go is seen once it is gone.
            if self._changed() or self._running or was or self.behind:
                with foreign(self.paths.journal):
                    self._see(until)
                self._error = None
        except FileNotFoundError:
            raise
        except SweepError as error:
            self._entries = None
            self._error = str(error)
        if self.subject is not None:
            self.subject.running = self._running

    def _see(self, until: float) -> None:
        if self._follower is not None and (
            newest_event(self.paths.journal) < self.seq or self._is_another(self._follower.state)
        ):
            self._begin()  # another study of that name has taken its place, or it was repaired
        if self._follower is None:
            if not self._running and not self._follow:
                self._idle = _idle_line(glance(self.paths))
                return
            self._follower = Follower(self.paths.journal)
        self._read(self._follower, until)

    def _is_another(self, state: StudyState) -> bool:
        """Whether the journal is not that of ``state``: only a new first segment is looked into."""
        segments, _ = list_segments(self.paths.journal)
        if not segments:
            return False
        first = segments[0].path
        try:
            there = first.stat()
        except FileNotFoundError:
            return False  # compacted away since: the next look sees
        mark = (first.name, there.st_ino, there.st_mtime_ns)
        if mark == self._first:
            return False
        self._first, beginning = mark, beginning_of(self.paths.journal)
        return state.seq >= 0 and beginning is not None and beginning[1] != state.created

    def _changed(self) -> bool:
        stamp = self.paths.journal.stat().st_mtime_ns
        changed = stamp != self._stamp
        self._stamp = stamp if time.time_ns() - stamp > _SETTLED_NS else None
        return changed

    def _read(self, follower: Follower, until: float) -> None:
        if self._entries is None:
            self._entries = follower.new()
        for entry in self._entries:
            self._take(follower, entry)
            if time.monotonic() > until:
                return
        self._entries = None
        self.subject = self._reading

    def _take(self, follower: Follower, entry: Entry) -> None:
        state = follower.state
        if self._reading is None or isinstance(entry.event, SpecChanged):
            spec = StudySpec.accepted(state.spec)
            self._reading = Subject(self.paths.name, spec, Limits.of(spec, state), state)
        elif isinstance(entry.event, DriverStarted):
            self._reading.limits = Limits.of(self._reading.spec, state)
        self._reading.progress.follow(state, entry)

    def line(self, now: float) -> StudyLine:
        """How the study stands."""
        name = self.paths.name
        if self._error is not None:
            return StudyLine(study=name, status="damaged", error=self._error)
        if self.subject is not None:
            return study_line(self.subject, now)
        if self._idle is not None and self._follower is None:
            return self._idle
        if not self.behind:
            return StudyLine(study=name, status=RUNNING if self._running else "not begun")
        return StudyLine(study=name, status=f"reading {self._share():.0%}")

    def _share(self) -> float:
        try:
            newest = newest_event(self.paths.journal)
        except (OSError, SweepError):
            return 0.0  # the reading will say what is wrong
        return (self.seq + 1) / (newest + 1) if newest >= 0 else 0.0


class StoreWatch:
    """The studies of a store, or some of them: those that come are seen, those that go are not."""

    def __init__(self, store: Path, names: Sequence[str] = ()) -> None:
        """Of ``store``; of the studies called ``names`` only, if there are any.

        Raises:
            StudyNotFoundError: there is none of that name.
        """
        self._store = store
        self._named = [find_study(store, name) for name in names]
        self._watches: dict[StudyPaths, StudyWatch] = {}
        self._slots = Slots()

    @property
    def behind(self) -> bool:
        """Whether anything was left unread."""
        return any(watch.behind for watch in self._watches.values())

    @property
    def seqs(self) -> dict[str, int]:
        """The newest event that is known of each study that is followed."""
        return {each.paths.name: each.seq for each in self._watches.values() if each.seq >= 0}

    def look(self, seconds: float) -> None:
        """See what has come, in about ``seconds``: what is left is read by the next look."""
        found = [paths for paths in self._named or studies(self._store) if paths.exists()]
        self._watches = {
            paths: self._watches.get(paths) or StudyWatch(paths, follow=bool(self._named))
            for paths in found
        }
        until = time.monotonic() + seconds
        for paths in found:
            try:
                self._watches[paths].look(until)
            except FileNotFoundError:
                del self._watches[paths]

    def view(self, now: float) -> View:
        """What is known, those that run first."""
        watches = list(self._watches.values())
        followed = [each for each in watches if each.subject is not None]
        subjects = [each.subject for each in followed if each.subject is not None]
        lines = [each.line(now) for each in watches]
        lines.sort(key=lambda line: line.status != RUNNING)
        return view(subjects, self._slots, now, lines)


def _idle_line(record: dict[str, Any]) -> StudyLine:
    states, best = record.get("states", {}), record.get("best")
    front = record.get("front")
    return StudyLine(
        study=record["study"],
        status=record["status"],
        finished=sum(count for kind, count in states.items() if TrialState(kind).finished),
        total=record.get("total"),
        paused=states.get(TrialState.PAUSED, 0),
        pruned=states.get(TrialState.PRUNED, 0),
        failed=states.get(TrialState.FAILED, 0),
        metric=record.get("metric"),
        minimized=record.get("goal") == Goal.MINIMIZE,
        best=None if best is None else best["value"],
        best_trial=None if best is None else best["trial"],
        params=record.get("searched") or {},
        front=None if front is None else len(front),
        error=record.get("error"),
    )
