"""One study under a driver: what attempts say becomes events, and what the planner wants, deeds."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from sweep.checkpoint.policy import Policy
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.retention import Keep, retired
from sweep.driver.backend import Key, WorkerDied
from sweep.driver.disposal import Disposal
from sweep.driver.mirroring import Mirroring, study_mirror
from sweep.driver.plan import Limits
from sweep.errors import MetricError, StoreError
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
from sweep.search.search import Search, is_objective
from sweep.spec import Goal, StudySpec
from sweep.trial.message import Assignment, Ended, Message, Reported, Restored, Saved, Verdict
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
        unsaved: trials that were stopped and could not save.
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
        self.unsaved: set[int] = set()
        self.shown = self.state.finished
        self._unshown: deque[Entry] = deque()
        self._disposal = Disposal(paths.checkpoints)
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
        self._journal.flush()
        known = {
            checkpoint.record["manifest"]
            for trial in self.state.trials.values()
            for checkpoint in trial.checkpoints.values()
            if checkpoint.retired is None
        }
        self._disposal.clear_leftovers(known, self.state.sessions)
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
        kept = list(reversed(trial.kept))
        every = self.spec.checkpoint.every
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
            policy=Policy(
                epochs=every.epochs,
                steps=every.steps,
                seconds=None if every.minutes is None else every.minutes * 60,
            ),
            restore=tuple(checkpoint.record["manifest"] for checkpoint in kept),
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
        match message:
            case Restored():
                self._restored(trial.number, key.attempt, message)
            case Reported():
                return self._reported(trial, message)
            case Saved(record=record):
                self._saved(trial, record)
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

    def _finish_mirror(self) -> str | None:
        mirror = self.spec.checkpoint.mirror
        if mirror is None or self._mirroring is None:
            return None
        stopped = self.halted is not None
        wait = min(mirror.wait, STOPPED_WAIT_S) if stopped else mirror.wait
        return self._mirroring.finish(self.state.seq, wait)

    def _record(self, *events: Event) -> None:
        self._unshown.extend(self._journal.append(*events))

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
        self._retire(trial, finished=False)

    def _retire(self, trial: Trial, *, finished: bool) -> None:
        keep = self.spec.checkpoint.keep
        records = [CheckpointRecord.from_json(kept.record) for kept in trial.kept]
        manifests = {record.id: record.manifest for record in records}
        for name in retired(
            records,
            Keep(last=keep.last, best=keep.best),
            metric=self.spec.metric.name,
            maximize=self.spec.metric.goal is Goal.MAXIMIZE,
            finished=finished,
        ):
            self._record(CheckpointRetired(trial=trial.number, checkpoint=name))
            self._disposal.give_up(manifests[name], self.state.seq)

    def _ended(self, trial: Trial, message: Ended) -> None:
        match message.outcome:
            case Outcome.STOPPED:
                self._record(AttemptStopped(trial=trial.number, attempt=trial.attempts))
                if not trial.kept:
                    self.unsaved.add(trial.number)
            case Outcome.UNSAVED:
                self._record(AttemptStopped(trial=trial.number, attempt=trial.attempts))
                raise StoreError(f"{self.name}: trial {trial.number}: {message.reason}")
            case Outcome.FAILED:
                self._failed(trial, message.reason or "failed", message.error or "")
            case Outcome.PRUNED:
                self._finish(trial, TrialState.PRUNED, message.returned or {})
            case Outcome.COMPLETE:
                pruned = trial.pruned_at is not None
                state = TrialState.PRUNED if pruned else TrialState.COMPLETE
                self._finish(trial, state, message.returned or {})

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
        kept = trial.kept
        self._record(
            TrialFinished(
                trial=trial.number,
                attempt=trial.attempts,
                state=state,
                value=None if state is TrialState.FAILED else value,
                checkpoint=kept[-1].id if kept else None,
                metrics=returned,
                reason=reason,
                error=error,
            )
        )
        if state is not TrialState.FAILED:
            self._record(self._search.tell(self.state, trial))
        self._retire(trial, finished=True)
        if missing is not None and not self.state.iterations:
            raise MetricError(f"{self.name}: {missing}")

    def _missing_metric(self, trial: Trial, returned: Mapping[str, float]) -> str:
        names = {name for report in trial.reports.values() for name in report.metrics}
        known = ", ".join(sorted(names | set(returned))) or "nothing"
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
