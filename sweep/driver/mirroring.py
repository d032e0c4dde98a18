"""The thread that copies a study to its mirror, behind the run: nothing ever waits for it or fails.

It reads the journal as any reader does and is only woken by the driver, at most once a second. What
fails is tried again, after a pause that grows to a minute. How far it is stands in `mirror.json`
beside the journal, for `sweep show`.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from sweep import fsio
from sweep.checkpoint.mirror import Mirror, Owner
from sweep.checkpoint.place import below, place_at
from sweep.driver.copying import Copier
from sweep.errors import MirrorError, StoreError, UsageError
from sweep.journal.excerpt import study_id
from sweep.journal.lock import Lock
from sweep.paths import StudyPaths
from sweep.quantity import bytes_text, counted
from sweep.spec import StudySpec

_log = logging.getLogger("sweep")

INTERVAL_S = 1.0
"""At most one pass in this time, so that small files travel together."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
"""After a failure; each further one doubles it."""

LOOK_S = 5.0
"""How long the start of a run waits for the mirror to say whose it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lag:
    """How far a mirror is. ``seq`` is the newest event in it, ``since`` unix seconds."""

    to: str
    seq: int
    checkpoints: int = 0
    bytes: int = 0
    since: float | None = None
    reason: str | None = None

    def text(self, last: int) -> str | None:
        """One line that says how it is behind a journal whose newest event is ``last``, or None."""
        if self.seq >= last and self.reason is None:
            return None
        checkpoints = f"{counted(self.checkpoints, 'checkpoint')} ({bytes_text(self.bytes)})"
        what = f"{checkpoints}, {counted(last - self.seq, 'event')}"
        if self.seq >= last:
            what = "nothing new"
        when = "" if self.since is None else time.strftime(" since %F %T", time.gmtime(self.since))
        return f"{self.to} is behind by {what}{when}: {self.reason or 'not copied yet'}"


def study_mirror(spec: StudySpec) -> str | None:
    """The URI of the study's folder in its mirror, or None where it has none."""
    mirror = spec.checkpoint.mirror
    return None if mirror is None else below(mirror.to, spec.name)


def read_lag(paths: StudyPaths) -> Lag | None:
    """How far the mirror was when the driver last said so; None where there is none."""
    try:
        data = (paths.root / "mirror.json").read_bytes()
        found: Lag = TypeAdapter(Lag).validate_json(data, strict=True)
        return found
    except (OSError, ValueError):
        return None


def write_lag(paths: StudyPaths, lag: Lag) -> None:
    """Leave a note for `read_lag`. Raises OSError where it cannot be written."""
    fsio.write_bytes(paths.root / "mirror.json", json.dumps(asdict(lag)).encode())


def check_mirror(paths: StudyPaths, spec: StudySpec, *, begun: bool) -> None:
    """Refuse a run whose mirror holds another study, or this one where the store has nothing.

    A mirror that does not answer within `LOOK_S` is no reason not to run: the thread asks again.

    Raises:
        UsageError: it does; the message says what to do.
    """
    uri = study_mirror(spec)
    if uri is None:
        return
    mirror = Mirror(place_at(uri))
    owner = _within(LOOK_S, mirror.owner)
    if owner is None:
        return
    if not begun:
        raise UsageError(
            f"{spec.name}: is in the mirror, but not in {paths.root.parent}; to go on with it: "
            f"sweep pull '{uri}' --store {paths.root.parent} (or give this one another name)"
        )
    if owner.study != study_id(paths.journal):
        raise UsageError(
            f"{uri}: belongs to another study of this name, {owner.path} on {owner.host}; give "
            "this one another name or mirror"
        )


def is_behind(paths: StudyPaths, spec: StudySpec, last: int) -> bool:
    """Whether the mirror of a study, if it has one, was left behind; no look is taken at it.

    Its run may have been killed before all was copied, or its mirror not have answered; or a
    command has written the journal since. ``last`` is its newest event.
    """
    uri, lag = study_mirror(spec), read_lag(paths)
    return uri is not None and (lag is None or lag.to != uri or lag.text(last) is not None)


def catch_up(paths: StudyPaths, spec: StudySpec, last: int) -> str | None:
    """Copy what the mirror of a study that nobody runs lacks; what it still lacks, or None.

    ``last`` is its newest event.

    Raises:
        StudyLockedError: a driver runs it, and copies it.
        StoreError: its lock cannot be had.
    """
    if spec.checkpoint.mirror is None or not is_behind(paths, spec, last):
        return None
    lock = Lock(paths.lock)
    try:
        mirroring = Mirroring(paths, spec)
        mirroring.start()
        return mirroring.finish(last, spec.checkpoint.mirror.wait)
    finally:
        lock.release()


class Mirroring:
    """Copies a study from `start` to `finish`, in a thread of its own."""

    def __init__(self, paths: StudyPaths, spec: StudySpec) -> None:
        """Of a ``spec`` that has a mirror; nothing is done yet."""
        self._paths, self._uri = paths, study_mirror(spec) or ""
        self._level = (
            None if spec.checkpoint.compression is None else (spec.checkpoint.compression.level)
        )
        self._changed = threading.Condition()
        self._wanted = -1
        self._closing = self._over = False
        self._lag = Lag(to=self._uri, seq=-1)
        self._thread = threading.Thread(target=self._loop, name="mirror", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def notify(self, committed: int) -> None:
        """Events up to ``committed`` are durable."""
        if committed > self._wanted:
            with self._changed:
                self._wanted = committed
                self._changed.notify_all()

    def holds(self, seq: int) -> bool:
        """Whether the mirror has all up to the event ``seq``."""
        return self._lag.seq >= seq

    def finish(self, last: int, wait: float) -> str | None:
        """Wait up to ``wait`` seconds until all is copied; a line that says what is not, or None.

        ``last`` is the newest event of the journal.
        """
        if self._lag.reason is not None and wait > 0:
            _log.warning("waiting up to %.0f s for the mirror %s", wait, self._uri)
        with self._changed:
            self._wanted, self._closing = last, True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or self._lag.seq >= last, timeout=wait)
            self._over = True
            self._changed.notify_all()
            return self._lag.text(last)

    def _loop(self) -> None:
        copier: Copier | None = None
        pause, since = FIRST_PAUSE_S, None
        while self._await(pause if since is not None else 0.0):
            begun = time.monotonic()
            try:
                if copier is None:
                    copier = Copier(self._paths, Mirror(place_at(self._uri), level=self._level))
                copier.copy()
            except Exception as error:  # noqa: BLE001  nothing of it may reach the run
                if since is None:
                    _log.warning(
                        "mirror %s: %s; the run goes on, it is tried again", self._uri, error
                    )
                since = since or time.time()
                pause = min(2 * pause, LONGEST_PAUSE_S)
                self._say(copier, since, error)
                if isinstance(error, MirrorError | UsageError):
                    break
                continue
            pause, since = FIRST_PAUSE_S, None
            self._say(copier, None, None)
            with self._changed:
                left = begun + INTERVAL_S - time.monotonic()
                self._changed.wait_for(lambda: self._closing or self._over, timeout=max(0.0, left))
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _await(self, pause: float) -> bool:
        """Wait for something to copy, and for ``pause`` seconds after a failure. False: it ends."""
        with self._changed:
            if pause:
                self._changed.wait_for(lambda: self._over, timeout=pause)
            self._changed.wait_for(lambda: self._over or self._wanted > self._lag.seq)
            return not self._over

    def _say(self, copier: Copier | None, since: float | None, error: Exception | None) -> None:
        lost = {} if copier is None else copier.lost
        reason = None if error is None else (str(error).splitlines() or [type(error).__name__])[0]
        if reason is None and lost:
            damaged = counted(len(lost), "damaged checkpoint")
            reason = f"{damaged} here: {next(iter(lost.values()))}"
        lag = Lag(
            to=self._uri,
            seq=-1 if copier is None else copier.mirrored,
            checkpoints=0 if copier is None else len(copier.pending),
            bytes=0 if copier is None else copier.pending_bytes,
            since=since,
            reason=reason,
        )
        with suppress(OSError):  # it is for people; the journal's own writer says what is wrong
            write_lag(self._paths, lag)
        with self._changed:
            self._lag = lag
            self._changed.notify_all()


def _within(seconds: float, look: Callable[[], Owner | None]) -> Owner | None:
    """What ``look`` gives, or None where it fails or takes longer."""
    found: list[Owner | None] = []

    def run() -> None:
        with suppress(OSError, StoreError):
            found.append(look())

    thread = threading.Thread(target=run, name="mirror-look", daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else None
