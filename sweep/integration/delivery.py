"""Keeps one tracker up with the journal, through kills and failures of either side."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import replace

from sweep.integration.account import Account, Begun, Measured, Told
from sweep.integration.note import Note, read_note, write_note
from sweep.integration.tracker import Forgotten, Marks, Sink, Subject
from sweep.journal.event import Entry
from sweep.journal.follower import Follower
from sweep.spec.tracker import Mlflow, TensorBoard, Tracker, Wandb

CHUNK = 1000
"""A tracker is told so many events at a time; a failure costs no more of them."""


class Delivery:
    """Tells one tracker what the journal says. Of one thread.

    Attributes:
        note: how far it is; durable.
    """

    def __init__(self, tracker: Tracker, study: Subject) -> None:
        """Nothing is read, imported or sent yet."""
        self._tracker, self._study = tracker, study
        self.note = read_note(study.paths, tracker.name)
        self._sink: Sink | None = None
        self._begin_reading()

    def catch_up(self) -> None:
        """Send all that the journal has; what was sent is noted as it goes.

        Raises:
            JournalError: the journal cannot be read.
            Exception: the tracker cannot be had, or fails. The next call goes on from here.
        """
        try:
            self._catch_up()
        except Forgotten:
            self._begin_again(self.note.to)
            self._catch_up()

    def failed(self, error: Exception) -> None:
        """Note why the tracker is behind."""
        self.note = replace(
            self.note, since=self.note.since or time.time(), reason=reason_of(error)
        )
        with suppress(OSError):  # it is for people; the journal's own writer says what is wrong
            write_note(self._study.paths, self.note)

    def _begin_reading(self) -> None:
        self._follower, self._account = Follower(self._study.paths.journal), Account()
        self._taken, self._points, self._trials = -1, 0, 0
        self._time: float | None = None

    def _begin_again(self, to: str) -> None:
        self.note = replace(self.note, to=to, seq=-1, time=None, marks={})
        write_note(self._study.paths, self.note)
        self._sink = None
        self._begin_reading()

    def _catch_up(self) -> None:
        sink = self._opened()
        self._commit(sink)  # what a failure has left
        for entry in self._follower.new():
            if entry.seq == self.note.seq and self.note.time not in (None, entry.time):
                raise Forgotten
            try:
                self._tell(sink, entry)
            except Exception:  # else the next call would pass over the event
                self._sink = None
                self._begin_reading()
                raise
            self._taken, self._time = entry.seq, entry.time
            if self._taken >= self.note.seq + CHUNK:
                self._commit(sink)
        if self._taken < self.note.seq:  # the journal is one from before what was sent
            raise Forgotten
        self._commit(sink)

    def _tell(self, sink: Sink, entry: Entry) -> None:
        """What the tracker has already is for the account alone, which must know of it."""
        for told in self._account.tell(entry, self._follower.state):
            if entry.seq > self.note.seq:
                sink.take(told)
                self._count(told)

    def _opened(self) -> Sink:
        if self._sink is None:
            sink = open_sink(self._tracker, self._study, self.note.marks)
            if self.note.to not in ("", sink.to):  # the spec names another place now
                self._begin_again(sink.to)
                sink = open_sink(self._tracker, self._study, {})
            self.note = replace(self.note, to=sink.to)
            self._sink = sink
        return self._sink

    def _count(self, told: Told) -> None:
        if isinstance(told, Measured):
            self._points += len(told.metrics)
        self._trials += isinstance(told, Begun)

    def _commit(self, sink: Sink) -> None:
        if self._taken <= self.note.seq:
            if self.note.reason is not None:
                self._write(self.note)
            return
        marks = sink.commit()
        self._write(
            replace(
                self.note,
                seq=self._taken,
                time=self._time,
                marks=marks,
                points=self.note.points + self._points,
                trials=self.note.trials + self._trials,
            )
        )
        self._points = self._trials = 0

    def _write(self, note: Note) -> None:
        note = replace(note, since=None, reason=None)
        write_note(self._study.paths, note)
        self.note = note


def reason_of(error: BaseException) -> str:
    """In a line why something failed: what the system said at the bottom of it, if it did.

    It is shown and noted, so what stands before the @ of an address is left out.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            where = f": {cause.filename}" if cause.filename else ""
            return cause.strerror.lower() + where
        cause = cause.__cause__ or cause.__context__
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"://[^/\s]*@", "://", said)


def open_sink(tracker: Tracker, study: Subject, marks: Marks) -> Sink:
    """The tracker that the spec asks for. ``marks`` is what it was last left with.

    Raises:
        Exception: whatever its library raises; it may be tried again.
    """
    match tracker.options:
        case TensorBoard() as options:
            from sweep.integration.event_file import EventFileSink

            return EventFileSink(options, study, marks)
        case Mlflow() as options:
            from sweep.integration.mlflow_run import MlflowSink

            return MlflowSink(options, study)
        case Wandb() as options:
            from sweep.integration.wandb_run import WandbSink

            return WandbSink(options, study)
