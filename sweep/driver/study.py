"""One study under a driver: what attempts say becomes events, and what the planner wants, deeds."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sweep.checkpoint.fork import write_fork
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.retention import Retirement
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.backend import Key, WorkerDied
from sweep.driver.collection import Doomed, GcRequests
from sweep.driver.disposal import Disposal
from sweep.driver.keeper import Keeper
from sweep.driver.mirroring import Mirroring, study_mirror
from sweep.driver.plan import Limits
from sweep.driver.saving import policy_of, resumable, scope_of
from sweep.errors import CheckpointError, MetricError, StoreError, UsageError
from sweep.fsio import is_full
from sweep.journal.event import (
    AttemptFailed,
    AttemptStopped,
    CheckpointRetired,
    CheckpointSaved,
    DriverStarted,
    DriverStopped,
    Entry,
    Event,
    TrialDispatched,
    TrialFinished,
    TrialReported,
    TrialRestored,
    TrialState,
)
from sweep.journal.journal import Journal
from sweep.journal.lock import Lock
from sweep.journal.state import StudyState, Trial
from sweep.journal.table import write_tables
from sweep.paths import StudyPaths
from sweep.search.fork import forked, vary
from sweep.search.search import Search, is_objective
from sweep.spec import StudySpec
from sweep.trial.message import (
    Assignment,
    Ended,
    Forked,
    Message,
    Reported,
    Restored,
    Saved,
    Verdict,
)
from sweep.trial.outcome import Outcome

_log = logging.getLogger("sweep")

TABLES_INTERVAL_S = 30.0
TABLES_SHARE = 0.01
"""The derived tables are written anew after this time, and never for more than this share of it."""

STOP_INTERVAL_S = 0.2
"""The longest time between two looks for a stop request."""


STOPPED_WAIT_S = 3.0
"""A run that was told to end waits no longer than this for its mirror."""


class DrivenStudy:
    """A study that this process writes.

    Attributes:
        limits: what the planner must keep to.
        error: why the study was given up, if it was.
        keeper: knows which checkpoints may go; whoever needs one pins it there.
        unsaved: trials that were stopped and could not save.
        refused: what a checkpoint was refused with, if one was: the study must halt, since the
            trial is not at fault and every other would meet the same.
        refusal: why in a word or two, for the journal.
        shown: how many trials were finished at the entry that was shown last.
        halted: why no more is started (a stop, a timeout), if so.
        behind: how the mirror was behind when the study ended, if it was.
    """

    def __init__(
        self, paths: StudyPaths, lock: Lock, journal: Journal, search: Search, spec: StudySpec
    ) -> None:
        """Take over an open ``journal`` that ``search`` follows, under ``lock``."""
        self.paths, self.spec, self.limits = paths, spec, Limits.of(spec)
        self._lock, self._journal, self._search = lock, journal, search
        self.error: Exception | None = None
        self.halted: str | None = None
        self.refused: StoreError | None = None
        self.refusal = ""
        self.unsaved: set[int] = set()
        self.shown = self.state.finished
        self._unshown: deque[Entry] = deque()
        self._disposal = Disposal(paths.checkpoints)
        self._gc = GcRequests(paths, self._disposal)
        self.keeper = Keeper(spec, journal.state)
        self._store = CheckpointStore(paths.checkpoints)
        self.behind: str | None = None
        self._mirroring = None if spec.checkpoint.mirror is None else Mirroring(paths, spec)
        self._tables_due = time.monotonic() + TABLES_INTERVAL_S
        self._stop_due = 0.0

    @property
    def state(self) -> StudyState:
        return self._journal.state

    @property
    def name(self) -> str:
        return self.spec.name

    def begin(self, versions: Mapping[str, str]) -> None:
        """Open a session, durably, and clear away what an earlier one left behind."""
        self._record(
            DriverStarted(
                session=self.state.sessions + 1,
                host=socket.gethostname(),
                pid=os.getpid(),
                versions=dict(versions),
            )
        )
        self._retire(self.keeper.of_study(time.time()))
        self._journal.flush()
        self._disposal.clear_leftovers(self.state.manifests, self.state.sessions)
        if self._mirroring is not None:
            self._mirroring.start()

    def ask(self) -> int:
        """Let the sampler propose the next trial; its number."""
        asked = self._search.ask(self.state)
        self._record(asked)
        return asked.trial

    def assign(self, number: int) -> Assignment:
        """The next attempt of a trial, recorded as dispatched."""
        trial = self.state.trials[number]
        kept = [each for each in reversed(trial.kept) if resumable(each.record)]
        assignment = Assignment(
            study=self.name,
            trial=number,
            attempt=trial.attempts + 1,
            session=self.state.sessions,
            params=trial.params,
            seed=self.spec.seed,
            program=self.spec.program,
            project=self.state.project,
            root=str(self.paths.root),
            policy=policy_of(self.spec),
            scope=scope_of(self.spec),
            restore=tuple(checkpoint.record["manifest"] for checkpoint in kept),
            fork=trial.fork is not None,
            metric=self.spec.metric.name,
            mirror=study_mirror(self.spec),
            threads=max(1, int(self.spec.resources.cpu)),
            verdicts=self._search.prunes or trial.pruned_at is not None,
        )
        self._record(
            TrialDispatched(
                trial=number,
                attempt=assignment.attempt,
                session=assignment.session,
                checkpoint=kept[0].id if kept else None,
            )
        )
        self.keeper.pin(number, (checkpoint.id for checkpoint in kept))
        if not kept and trial.reports:
            # Nothing to go on from, so no `Restored` will come: what was reported is made again.
            self._restored(number, assignment.attempt, Restored(checkpoint=None))
        return assignment

    def conclude(self, number: int, state: TrialState) -> None:
        """Finish a trial that was decided, but not recorded as over, before a kill."""
        trial = self.state.trials[number]
        with self._journal.together():
            self._finish(trial, state, trial.metrics, reason=trial.reason, error=trial.error)

    def handle(self, key: Key, message: Message | WorkerDied) -> Verdict | None:
        """Record what an attempt said. The verdict, where it waits for one.

        Raises:
            MetricError: the first trial that was completed never reported the metric.
            StoreError: the journal cannot be written.
        """
        trial = self.state.running.get(key.trial)
        if trial is None or trial.attempts != key.attempt:
            return None
        with self._journal.together():
            return self._heard(trial, key, message)

    def _heard(self, trial: Trial, key: Key, message: Message | WorkerDied) -> Verdict | None:
        if isinstance(message, Restored | Ended | WorkerDied):
            self.keeper.unpin(trial.number)  # nobody reads what it was handed any more
        match message:
            case Restored():
                self._restored(trial.number, key.attempt, message)
            case Reported():
                return self._reported(trial, message)
            case Saved(record=record):
                self._saved(trial, record)
            case Forked():
                self._fork(trial, message)
            case Ended():
                self._ended(trial, message)
            case WorkerDied(reason=reason):
                self._failed(trial, f"worker died: {reason}", "")
        return None

    def settle(self, show: Callable[[Entry], None]) -> None:
        """Show what has become durable, and remove files that it allows to remove.

        Raises:
            StoreError: the journal cannot be written.
        """
        self._journal.check()
        committed = self._journal.committed
        while self._unshown and self._unshown[0].seq <= committed:
            entry = self._unshown.popleft()
            self.shown += isinstance(entry.event, TrialFinished)
            show(entry)
        self._disposal.settle(committed)
        request = self._gc.take()
        if request is not None:
            doomed = Doomed.of(self.keeper, self.state, self.state.sessions, time.time())
            self._record(*doomed.events())
            self._gc.carry_out(request, doomed, self.state.seq)
        if self._mirroring is not None:
            self._mirroring.notify(committed)
        if time.monotonic() >= self._tables_due:
            self._write_tables()

    def stop_requested(self) -> bool:
        """True where another process asked for an end; looked at a few times a second at most."""
        now = time.monotonic()
        if now < self._stop_due:
            return False
        self._stop_due = now + STOP_INTERVAL_S
        return self.paths.stop.exists()

    def end(self, reason: str, show: Callable[[Entry], None]) -> None:
        """Record the end of the session, leave everything durable, and give the study free."""
        try:
            self._record(DriverStopped(session=self.state.sessions, reason=reason))
            self._journal.flush()
            self.settle(show)
            self._write_tables()
            self._journal.close()
            self.behind = self._finish_mirror()
        finally:
            self._disposal.close()
            self._lock.release()

    @property
    def mirrored(self) -> bool:
        """Whether all that is durable is in the mirror, or there is none."""
        return self._mirroring is None or self._mirroring.holds(self._journal.committed)

    def _finish_mirror(self) -> str | None:
        mirror = self.spec.checkpoint.mirror
        if mirror is None or self._mirroring is None:
            return None
        stopped = self.halted is not None
        wait = min(mirror.wait, STOPPED_WAIT_S) if stopped else mirror.wait
        return self._mirroring.finish(self.state.seq, wait)

    def _record(self, *events: Event) -> None:
        self._unshown.extend(self._journal.append(*events))
        for event in events:
            self.keeper.follow(event)

    def _restored(self, number: int, attempt: int, message: Restored) -> None:
        trial = self.state.trials[number]
        ids = {known.record["manifest"]: known.id for known in trial.checkpoints.values()}
        source = trial.checkpoints.get(message.checkpoint or "")
        self._record(
            TrialRestored(
                trial=number,
                attempt=attempt,
                step=None if source is None else source.step,
                checkpoint=message.checkpoint,
                skipped=[[ids[manifest], why] for manifest, why in message.skipped],
            )
        )
        for manifest, why in message.skipped:
            self._disposal.set_aside(manifest, why, self.state.seq)

    def _reported(self, trial: Trial, message: Reported) -> Verdict | None:
        value = message.metrics.get(self.spec.metric.name)
        pruned_at = trial.pruned_at
        judged = value is not None and (self._search.prunes or pruned_at is not None)
        late = pruned_at is not None and message.step > pruned_at
        if late and trial.told_to_end == trial.attempts:
            # Sent before the verdict arrived. What comes before it in a later attempt is heard.
            return Verdict.PRUNE if judged else None
        prune: bool | None = None
        wrote: dict[str, Any] = {}
        if value is not None and (self._search.prunes or message.step in trial.verdicts):
            prune, wrote = self._search.judge(trial, message.step, value)
        self._record(
            TrialReported(
                trial=trial.number,
                attempt=trial.attempts,
                step=message.step,
                value=value,
                metrics=message.metrics,
                prune=prune,
                wrote=wrote,
            )
        )
        if not judged:
            return None
        return Verdict.PRUNE if prune else Verdict.CONTINUE

    def _saved(self, trial: Trial, record: CheckpointRecord) -> None:
        older = trial.checkpoints.get(record.id)
        self._record(
            CheckpointSaved(
                trial=trial.number,
                attempt=trial.attempts,
                step=record.step,
                checkpoint=record.id,
                record=record.to_json(),
            )
        )
        if older is not None and older.record["manifest"] != record.manifest:
            # The same position, reached again after a resume.
            self._disposal.give_up(older.record["manifest"], self.state.seq)
        self._retire(self.keeper.of_trial(trial.number))
        self._retire_under_pressure()

    def _retire_under_pressure(self) -> None:
        now = time.time()
        if self.keeper.pressed(now):
            self._retire(self.keeper.of_study(now))

    def _retire(self, retirements: Iterable[tuple[int, Retirement]]) -> None:
        for number, retirement in retirements:
            manifest = self.keeper.record(number, retirement.id).manifest
            self._record(
                CheckpointRetired(
                    trial=number, checkpoint=retirement.id, reason=str(retirement.reason)
                )
            )
            self._disposal.give_up(manifest, self.state.seq)

    def _fork(self, parent: Trial, message: Forked) -> None:
        """Add the trial that ``parent`` asked for, unless it did so before a resume, too.

        The source stays until this is done: it is the newest of an unfinished trial.
        """
        source = parent.checkpoints[message.checkpoint]
        try:
            varied = vary(
                self.spec.space, parent.params, message.changes, force=not parent.searched
            )
        except UsageError as error:
            _log.warning("%s: trial %d: not forked: %s", self.name, parent.number, error)
            return
        if self.state.fork_of(parent.number, source.id, varied.params) is not None:
            return
        try:
            record = write_fork(
                self._store,
                CheckpointRecord.from_json(source.record),
                trial=len(self.state.trials),
                session=self.state.sessions,
                params=varied.params,
            )
        except CheckpointError as error:  # a full disk, say; the trial asks again after a resume
            self._refuse(f"trial {parent.number}: {error}", disk_full=is_full(error))
            return
        self._record(forked(parent.number, source.id, record.to_json(), varied))

    def _ended(self, trial: Trial, message: Ended) -> None:
        match message.outcome:
            case Outcome.STOPPED:
                self._record(AttemptStopped(trial=trial.number, attempt=trial.attempts))
                if not any(resumable(each.record) for each in trial.kept):
                    self.unsaved.add(trial.number)
            case Outcome.UNSAVED:
                self._record(AttemptStopped(trial=trial.number, attempt=trial.attempts))
                self.unsaved.add(trial.number)
                self._refuse(f"trial {trial.number}: {message.reason}", disk_full=message.disk_full)
            case Outcome.FAILED:
                self._failed(trial, message.reason or "failed", message.error or "")
            case Outcome.PRUNED:
                self._finish(trial, TrialState.PRUNED, message.returned or {})
            case Outcome.COMPLETE:
                pruned = trial.pruned_at is not None
                state = TrialState.PRUNED if pruned else TrialState.COMPLETE
                self._finish(trial, state, message.returned or {})

    def _refuse(self, reason: str, *, disk_full: bool) -> None:
        if self.refused is None:
            self.refused = StoreError(f"{self.name}: {reason}")
            self.refusal = "disk full" if disk_full else "checkpoint refused"

    def _failed(self, trial: Trial, reason: str, error: str) -> None:
        reason, error = _printable(reason), _printable(error)
        self._record(
            AttemptFailed(trial=trial.number, attempt=trial.attempts, reason=reason, error=error)
        )
        if trial.failures > self.limits.retries:
            self._finish(trial, TrialState.FAILED, {}, reason=reason, error=error)

    def _finish(
        self,
        trial: Trial,
        state: TrialState,
        returned: dict[str, float],
        *,
        reason: str | None = None,
        error: str | None = None,
    ) -> None:
        value = objective(trial, self.spec.metric.name, returned)
        missing = None
        if state is not TrialState.FAILED and not is_objective(value):
            if value is None:
                missing = reason = self._missing_metric(trial, returned)
            else:
                reason = f"{self.spec.metric.name} is NaN"
            state = TrialState.FAILED
        newest = trial.newest
        self._record(
            TrialFinished(
                trial=trial.number,
                attempt=trial.attempts,
                state=state,
                value=None if state is TrialState.FAILED else value,
                checkpoint=None if newest is None else newest.id,
                metrics=returned,
                reason=reason,
                error=error,
            )
        )
        if state is not TrialState.FAILED and trial.searched:
            self._record(self._search.tell(self.state, trial))
        self._retire(self.keeper.after_finish(trial.number))
        self._retire_under_pressure()
        if missing is not None and not self.state.iterations:
            raise MetricError(f"{self.name}: {missing}")

    def _missing_metric(self, trial: Trial, returned: Mapping[str, float]) -> str:
        names = {name for report in trial.reports.values() for name in report.metrics}
        known = ", ".join(sorted(names | set(returned))) or "nothing"
        if trial.fork is not None and known == "nothing":
            return (
                f"trial {trial.number} is a fork and reported nothing: nothing was left to do "
                f"after {trial.fork.source}; fork an earlier checkpoint, or give it more epochs"
            )
        return (
            f"metric.name: trial {trial.number} finished and never reported "
            f"{self.spec.metric.name!r}; it reported {known}"
        )

    def _write_tables(self) -> None:
        begun = time.monotonic()
        try:
            write_tables(self.state, self.paths.tables)
        except (OSError, ValueError) as error:  # they are derived: nothing is lost with them
            _log.warning("%s: the tables cannot be written: %s", self.name, error)
        cost = time.monotonic() - begun
        self._tables_due = time.monotonic() + max(TABLES_INTERVAL_S, cost / TABLES_SHARE)


def _printable(text: str) -> str:
    """``text`` without what UTF-8 cannot say (half of a file's name, say)."""
    return text.encode("utf-8", "backslashreplace").decode()


def objective(trial: Trial, metric: str, returned: Mapping[str, float]) -> float | None:
    """The value of a trial: what the function returned, else the last that it reported."""
    if metric in returned:
        return returned[metric]
    values = [
        trial.reports[step].value
        for step in sorted(trial.reports)
        if trial.reports[step].value is not None
    ]
    return values[-1] if values else None
