"""One study under a driver: what attempts say becomes events, and what the planner wants, deeds."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from sweep.driver.archive import Archive
from sweep.driver.assignment import next_assignment
from sweep.driver.backend import Key, WorkerDied
from sweep.driver.bench import Bench, reports_metric
from sweep.driver.conclusion import STOPPED, Conclusion
from sweep.driver.interruption import Interruptions
from sweep.driver.intervention import Intervention
from sweep.driver.keeper import Keeper
from sweep.driver.logbook import Logbook
from sweep.driver.lookahead import Lookahead
from sweep.driver.plan import (
    INTERRUPTED,
    Limits,
    preparable,
    too_often_interrupted,
)
from sweep.driver.saving import resumable
from sweep.driver.stopping import StopRequest
from sweep.driver.tabulation import Tabulation
from sweep.driver.unsaved import advise
from sweep.errors import (
    CheckpointError,
    MetricError,
    StoreError,
    SweepError,
    UsageError,
)
from sweep.fsio import is_full
from sweep.integration.relay import HURRIED_WAIT_S, Relay
from sweep.journal.event import (
    AttemptFailed,
    AttemptStopped,
    Cause,
    DriverStarted,
    DriverStopped,
    Entry,
    SpaceExhausted,
    TrialDispatched,
    TrialFinished,
    TrialPaused,
    TrialPromoted,
    TrialState,
)
from sweep.journal.journal import Journal
from sweep.journal.lock import Lock
from sweep.journal.state import StudyState, Trial
from sweep.journal.table import final_metrics
from sweep.paths import StudyPaths
from sweep.quantity import counted, printable
from sweep.search.population import EXPLOITED
from sweep.search.promotion import Candidate
from sweep.search.proposal import Exhausted
from sweep.search.result import told_as_worst
from sweep.search.rules import CURRENT
from sweep.search.search import Search
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

BACKEND_DIED = "backend died"
"""Why a study halts that has lost what its trials run on."""

TRACKERS_WAIT_S = 30.0
"""How long the end of a run waits for trackers that take their time; one that fails ends it."""


class DrivenStudy:
    """A study that this process writes.

    Attributes:
        limits: what the planner must keep to.
        error: why the study was given up, if it was.
        unsaved: trials that were stopped and could not save.
        refused: what a checkpoint was refused with, or what trials run on has died of, if so: the
            study must halt, since the trial is not at fault and every other would meet the same.
        refusal: why in a word or two, for the journal.
        halted: why no more is started (a stop, a timeout), if so.
        behind: how the mirror was behind when the study ended, if it was.
        untracked: how trackers were behind then, a line each.
        intervention: what users want of single trials.
    """

    def __init__(
        self, paths: StudyPaths, lock: Lock, journal: Journal, search: Search, spec: StudySpec
    ) -> None:
        """Take over an open ``journal`` that ``search`` follows, under ``lock``."""
        self.paths, self.spec, self.limits = paths, spec, Limits.of(spec, journal.state)
        self._lock, self._search = lock, search
        self.error: Exception | None = None
        self.halted: str | None = None
        self.refused: SweepError | None = None
        self.refusal = ""
        self.unsaved: set[int] = set()
        self.behind: str | None = None
        self.untracked: list[str] = []
        self._warned_of_pauses = False
        keeper = Keeper(spec, journal.state)
        self._logbook = Logbook(journal, keeper.follow)
        self._bench = Bench(spec, search, self._logbook, self.limits)
        self._archive = Archive(paths, spec, self._logbook, keeper)
        self._tabulation = Tabulation(spec, paths.tables)
        self._relay = Relay(paths, spec.name, spec.trackers, self._warn) if spec.trackers else None
        self._stop = StopRequest(paths)
        self.intervention = Intervention(paths, self._logbook, self._archive, self.conclude)
        self.interruptions = Interruptions(paths, spec, self._logbook)
        self._lookahead = Lookahead(search, _ahead(spec))

    @property
    def state(self) -> StudyState:
        return self._logbook.state

    @property
    def now(self) -> float:
        """Unix seconds, as the journal counts them: setting the system's clock moves nothing."""
        return self._logbook.now

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def shown(self) -> int:
        """How many trials were finished at the entry that was shown last."""
        return self._logbook.shown

    def begin(
        self,
        versions: Mapping[str, str],
        sources: Mapping[str, str] = MappingProxyType({}),
        slots: int | None = None,
    ) -> None:
        """Open a session, durably, and clear away what an earlier one left behind.

        ``slots`` are for this study alone; None where it shares them.

        Raises:
            StoreError: the journal cannot be written.
            ProgramError: the sampler fails on a result of which it could not be told before.
        """
        self._logbook.record(
            DriverStarted(
                session=self.state.sessions + 1,
                host=socket.gethostname(),
                pid=os.getpid(),
                versions=dict(versions),
                sources=dict(sources),
                slots=slots,
                rules=CURRENT,
            )
        )
        self._tell()  # the sampler may have failed when it was to learn of a result
        self._archive.begin()
        if self._relay is not None:
            self._relay.start()

    def ask(self) -> int | None:
        """Let the sampler propose the next trial; its number, or None where nothing is left."""
        try:
            asked = self._lookahead.ask(self.state)
        except Exhausted:
            self._logbook.record(SpaceExhausted(tried=self.state.asked))
            self.limits = replace(self.limits, total=self.state.asked)
            return None
        self._logbook.record(asked)
        return asked.trial

    def judge(self, number: int) -> None:
        """Record the verdict on a member of the population that waits for it."""
        self._bench.judge(number)

    def exploit(self, number: int) -> None:
        """Have a fork of a better one take the place of trial ``number``, if one still can."""
        population = self.limits.population
        succession = None if population is None else population.succession(self.state, number)
        if succession is not None:
            try:
                self._archive.exploit(succession)
            except CheckpointError as error:
                self._refuse(f"trial {number}: {error}", disk_full=is_full(error))

    def look_ahead(self) -> None:
        """Record a suggestion that was prepared, or have one prepared, where none waits."""
        if not preparable(self.state, self.limits, self.candidate):
            return
        if self._lookahead.ready:
            self.ask()
        else:
            self._lookahead.begin(self.state)

    @property
    def candidate(self) -> Candidate | None:
        """The paused trial that may go on, if there is one."""
        exhausted = self.state.asked >= self.limits.total
        return self._search.promotion.next(exhausted=exhausted)

    def promote(self, number: int, rung: int) -> None:
        """Let a paused trial go on."""
        self._logbook.record(TrialPromoted(trial=number, rung=rung))

    def assign(self, number: int) -> Assignment:
        """The next attempt of a trial, recorded as dispatched."""
        trial = self.state.trials[number]
        self._bench.making_room.discard(number)
        self.interruptions.over(number)
        self.unsaved.discard(number)  # it may do now what it could not when it was last stopped
        kept = [each for each in reversed(trial.kept) if resumable(each.record)]
        assignment = next_assignment(
            trial,
            self.state,
            self.spec,
            self.paths,
            restore=[checkpoint.record["manifest"] for checkpoint in kept],
            verdicts=self._bench.hears(trial),
        )
        self._logbook.record(
            TrialDispatched(
                trial=number,
                attempt=assignment.attempt,
                session=assignment.session,
                checkpoint=kept[0].id if kept else None,
            )
        )
        self._archive.hand_out(number, (checkpoint.id for checkpoint in kept))
        lost = self._archive.lost(number, assignment.attempt - 1, kept[0] if kept else None)
        advise(self.name, trial, lost)
        if not kept and (trial.reports or lost):
            # Nothing to go on from, so no `Restored` will come: what was reported is made again.
            self._archive.restored(trial, assignment.attempt, Restored(checkpoint=None))
        return assignment

    def conclude(self, number: int, state: TrialState) -> None:
        """Finish or pause a trial of which nothing is to be executed: that is decided already."""
        trial = self.state.trials[number]
        metrics, reason = trial.metrics, trial.reason
        if trial.reuses is not None:
            metrics = final_metrics(self.state.trials[trial.reuses])
            reason = f"has the parameters of trial {trial.reuses}, whose result it takes over"
        with self._logbook.together():
            if state is TrialState.PAUSED:
                self._pause(trial)
                return
            if trial.stopped:
                reason = STOPPED
            elif trial.state is TrialState.PAUSED:
                reason = f"not promoted from the rung at {counted(trial.held_at or 0, 'step')}"
            failed = trial.failed[-1].cause if trial.failures > self.limits.retries else None
            self._finish(
                trial,
                state,
                metrics,
                reason=reason,
                error=trial.error,
                cause=failed or Cause.MACHINERY,
            )

    def handle(self, key: Key, message: Message | WorkerDied) -> Verdict | None:
        """Record what an attempt said. The verdict, where it waits for one.

        Raises:
            MetricError: a trial was completed that reported something else than the metric, and no
                trial has reported that yet.
            StoreError: the journal cannot be written.
        """
        trial = self.state.running.get(key.trial)
        if trial is None or trial.attempts != key.attempt:
            return None
        with self._logbook.together():
            return self._heard(trial, key, message)

    def _heard(self, trial: Trial, key: Key, message: Message | WorkerDied) -> Verdict | None:
        if isinstance(message, Restored | Ended | WorkerDied):
            self._archive.take_back(trial.number)
        match message:
            case Restored():
                self._archive.restored(trial, key.attempt, message)
            case Reported():
                return self._bench.reported(trial, message)
            case Saved(record=record):
                self._archive.saved(trial, record)
            case Forked():
                self._fork(trial, message)
            case Ended():
                self._ended(trial, message)
            case WorkerDied(reason=reason, detail=detail):
                self._lost(trial, f"worker died: {reason}", detail)
        return None

    def halt_interrupted(self) -> None:
        """Have the study halt, since nothing but interruptions happens."""
        error = self.interruptions.error(self.limits)
        if error is not None:
            self.give_up(error, INTERRUPTED)

    def give_up(self, error: SweepError, reason: str) -> None:
        """Have the study halt: what trials run on fails them. The first such error counts."""
        if self.refused is None:
            self.refused, self.refusal = error, reason

    def settle(self, show: Callable[[Entry], None]) -> None:
        """Show what has become durable, and remove files that it allows to remove.

        Raises:
            StoreError: the journal cannot be written.
        """
        if self.error is None and self.state.stopped is None:
            self.intervention.serve()
        committed = self._logbook.settle(show)
        self.intervention.settle(committed)
        self._archive.settle(committed)
        self._tabulation.settle(self.state)
        if self._relay is not None:
            self._relay.notify(committed)

    def stop_requested(self) -> bool:
        """True where another process asked for an end."""
        return self._stop.seen()

    def end(
        self,
        reason: str,
        show: Callable[[Entry], None],
        until: float | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Record the end of the session, leave everything durable, and give the study free.

        Trackers are waited for up to ``until`` on the monotonic clock (by default as long as they
        may take) or, from when on one is ``stopping``, for moments.
        """
        self.interruptions.end()
        try:
            self._lookahead.close()
            self._logbook.record(DriverStopped(session=self.state.sessions, reason=reason))
            self._logbook.flush()
            self.settle(show)
            self._tabulation.write(self.state)
            self._logbook.close()
            if self._relay is not None:
                self._relay.close(self.state.seq)
            self.behind = self._archive.finish_mirror(stopped=self.halted is not None)
        finally:
            self._finish_trackers(until, stopping)
            self._archive.close()
            self._lock.release()

    @property
    def mirrored(self) -> bool:
        """Whether all that is durable is in the mirror, or there is none."""
        return self._archive.mirrored

    @property
    def tracked(self) -> bool:
        """Whether the trackers know all that is durable, or there are none."""
        return self._relay is None or self._relay.holds(self._logbook.committed)

    def _finish_trackers(self, until: float | None, stopping: Callable[[], bool]) -> None:
        if self._relay is not None:
            self._relay.close(self._logbook.committed)  # where nothing more could be written
            if until is None:
                until = time.monotonic() + TRACKERS_WAIT_S
            self._relay.finish(
                max(until, time.monotonic() + HURRIED_WAIT_S),
                lambda: self.halted is not None or stopping(),
            )
            lines = [note.behind(self.state.seq) for note in self._relay.notes()]
            self.untracked = [line for line in (*lines, self._relay.trouble) if line is not None]

    def _warn(self, line: str) -> None:
        _log.warning("%s: %s; the run goes on, it is tried again", self.name, line)

    def _pause(self, trial: Trial) -> None:
        rung = trial.held_at
        if rung is None:
            # It went on from a checkpoint of before the promotion; now from the one it has made.
            self._logbook.record(AttemptStopped(trial=trial.number, attempt=trial.attempts))
            return
        step = trial.rungs[rung]
        report = trial.reports.get(step)
        kept = [each for each in trial.kept if resumable(each.record)]
        if not kept and not self._warned_of_pauses:
            self._warned_of_pauses = True
            _log.warning(
                "%s: trial %d is paused and has saved nothing, so a promotion begins it anew: have "
                "it track its objects, or keep a state",
                self.name,
                trial.number,
            )
        self._logbook.record(
            TrialPaused(
                trial=trial.number,
                attempt=trial.attempts,
                step=step,
                value=None if report is None else report.value,
                checkpoint=kept[-1].id if kept else None,
                rung=rung,
            )
        )
        self._tell()  # of those that waited for it, where results are told in order

    def _fork(self, parent: Trial, message: Forked) -> None:
        try:
            self._archive.fork(parent, message)
        except UsageError as error:
            _log.warning("%s: trial %d: not forked: %s", self.name, parent.number, error)
        except CheckpointError as error:  # a full disk, say; the trial asks again after a resume
            self._refuse(f"trial {parent.number}: {error}", disk_full=is_full(error))

    def _ended(self, trial: Trial, message: Ended) -> None:
        match message.outcome:
            case Outcome.STOPPED | Outcome.PAUSED if trial.stopped:
                self._finish(trial, TrialState.PRUNED, {}, reason=STOPPED)
            case Outcome.STOPPED:
                saved = any(resumable(each.record) for each in trial.kept)
                if not saved and trial.number in self._bench.making_room:
                    self._failed(trial, _UNSAVED, "", Cause.MACHINERY, again=False)
                    return
                self._logbook.record(AttemptStopped(trial=trial.number, attempt=trial.attempts))
                if not saved:
                    self.unsaved.add(trial.number)
            case Outcome.UNSAVED:
                self._logbook.record(AttemptStopped(trial=trial.number, attempt=trial.attempts))
                self.unsaved.add(trial.number)
                self._refuse(f"trial {trial.number}: {message.reason}", disk_full=message.disk_full)
            case Outcome.FAILED:
                cause = Cause.EXCEPTION if message.again else Cause.MACHINERY
                reason, error = message.reason or "failed", message.error or ""
                self._failed(trial, reason, error, cause, again=message.again)
            case Outcome.PAUSED:
                self._pause(trial)
            case Outcome.PRUNED:
                self._finish(trial, TrialState.PRUNED, message.returned or {})
            case Outcome.COMPLETE:
                pruned = trial.pruned_at is not None
                state = TrialState.PRUNED if pruned else TrialState.COMPLETE
                self._finish(trial, state, message.returned or {})

    def _refuse(self, reason: str, *, disk_full: bool) -> None:
        error = StoreError(f"{self.name}: {reason}")
        self.give_up(error, "disk full" if disk_full else "checkpoint refused")

    def _failed(
        self, trial: Trial, reason: str, error: str, cause: Cause, *, again: bool = True
    ) -> None:
        reason, error = printable(reason), printable(error)
        if not again:
            reason += " (not tried again: it would fail alike)"
        self._logbook.record(
            AttemptFailed(
                trial=trial.number,
                attempt=trial.attempts,
                reason=reason,
                error=error,
                cause=cause,
            )
        )
        if not again or trial.failures > self.limits.retries:
            self._finish(trial, TrialState.FAILED, {}, reason=reason, error=error, cause=cause)

    def _lost(self, trial: Trial, reason: str, detail: str) -> None:
        """What an attempt ran on has died: that is no failure of the trial."""
        reason, detail = printable(reason), printable(detail)
        self.interruptions.record(trial, reason, detail)
        if too_often_interrupted(trial, self.limits):
            reason += f" (interrupted {trial.interruptions} times, see interruptions)"
            self._finish(
                trial,
                TrialState.FAILED,
                {},
                reason=reason,
                error=detail,
                cause=Cause.MACHINERY,
            )

    def _tell(self) -> None:
        """Let the sampler learn of the results whose turn it is."""
        for number in self.state.due(in_order=self.spec.deterministic):
            self._logbook.record(self._search.tell(self.state, self.state.trials[number]))

    def _finish(
        self,
        trial: Trial,
        state: TrialState,
        returned: dict[str, float],
        *,
        reason: str | None = None,
        error: str | None = None,
        cause: Cause | None = None,
    ) -> None:
        """Record the end of a trial; ``cause`` is what failed it, if it has failed."""
        if state is TrialState.PRUNED and self.limits.population and reason != STOPPED:
            reason = EXPLOITED
        conclusion = Conclusion.of(trial, state, returned, self.spec, reason, cause)
        values = list(conclusion.values)
        last = trial.measured_with(self.spec.objective.name, values[0] if values else None)
        self._logbook.record(
            TrialFinished(
                trial=trial.number,
                attempt=trial.attempts,
                state=conclusion.state,
                value=values[0] if values else None,
                values=values if len(values) > 1 else None,
                violations=list(conclusion.violations),
                checkpoint=None if last is None else last.id,
                metrics=returned,
                reason=conclusion.reason,
                error=error,
                cause=conclusion.cause,
                worst=told_as_worst(self.spec, conclusion.cause),
            )
        )
        self._tell()
        self._archive.finished(trial.number)
        misnamed = conclusion.cause is Cause.UNREPORTED and bool(trial.reports or returned)
        if misnamed and not reports_metric(self.state):
            raise MetricError(f"{self.name}: {conclusion.reason}")


_UNSAVED = (
    "nothing was saved that a member of a population could go on from: have the trial track its "
    "objects, or keep a state"
)


def _ahead(spec: StudySpec) -> bool | Literal["auto"]:
    """``lookahead``; in the order of numbers only where it is asked for."""
    return False if spec.deterministic and spec.lookahead == "auto" else spec.lookahead
