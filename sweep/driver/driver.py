"""The driver: one loop that runs several studies on one backend, and shares its slots fairly."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from sweep.driver.backend import Backend, Key, WorkerDied
from sweep.driver.failing import failing
from sweep.driver.plan import (
    INTERRUPTED,
    Ask,
    Conclude,
    Dispatch,
    Exploit,
    Halt,
    Judge,
    Promote,
    is_complete,
    plan,
    timed_out,
)
from sweep.driver.stopping import StopSignals
from sweep.driver.study import BACKEND_DIED, TRACKERS_WAIT_S, DrivenStudy
from sweep.errors import SweepError
from sweep.journal.event import Entry
from sweep.trial.message import Ended, Message, Verdict

POLL_S = 0.1
"""The longest wait for messages: so soon signals and stop requests are seen."""


WAITS_S = 1.0
"""From one look for what waits to the next."""


class Observer(Protocol):
    """Shows what happens. Called in the driver's loop, so it must be quick."""

    def entry(self, study: DrivenStudy, entry: Entry) -> None:
        """Something happened and is durable."""

    def tick(self, studies: Sequence[DrivenStudy]) -> None:
        """The loop went round (at least every `POLL_S` seconds)."""

    def abort(self) -> None:
        """The process ends at once: leave the terminal usable."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a study ended: ``reason`` is complete, timeout, stopped, or the name of a signal."""

    study: DrivenStudy
    reason: str
    error: Exception | None


class Driver:
    """Runs studies until each is complete, halted or given up."""

    def __init__(
        self,
        studies: Sequence[DrivenStudy],
        backend: Backend,
        observer: Observer,
        signals: StopSignals,
        *,
        grace: float,
    ) -> None:
        """``grace`` is the time in seconds that running trials have to save when they must stop."""
        self._all, self._studies = list(studies), list(studies)
        self._results: dict[str, Result] = {}
        self._by_name = {study.name: study for study in studies}
        self._backend, self._observer, self._grace = backend, observer, grace
        self._signals = signals
        signals.on_first(backend.interrupt)
        signals.on_second(observer.abort)
        self._executing: dict[Key, DrivenStudy] = {}
        self._begun: dict[Key, float] = {}
        self._slot_time = dict.fromkeys(self._by_name, 0.0)
        self._told_to_stop: set[Key] = set()
        self._deadlines: dict[str, float] = {}
        self._stopping: dict[Key, float] = {}
        """Until when trials may save that a user has stopped."""
        self._waits_due = 0.0

    def run(self) -> list[Result]:
        """Run to the end; a study that has ended is closed at once, whatever the others do.

        A study's own error (see `DrivenStudy.handle`) ends that study alone and is in its result.
        """
        while True:
            self._look_for_stops()
            self._fill_slots()
            self._look_ahead()
            self._say_waits()
            self._close_ended()
            if not self._studies:
                return [self._results[study.name] for study in self._all]
            self._backend.poll(POLL_S, self._handle)
            self._settle()

    def _unfinished(self) -> list[DrivenStudy]:
        return [
            study
            for study in self._studies
            if study.error is None
            and study.halted is None
            and not is_complete(study.state, study.limits)
        ]

    def _fill_slots(self) -> None:
        """Give slots to studies while there is room: to the one first that had the least."""
        waiting = self._unfinished()
        while waiting:
            study = min(waiting, key=self._share)
            if not self._place(study):
                waiting.remove(study)

    def _look_ahead(self) -> None:
        """Now that slots are filled: prepare what comes next, where asking takes long."""
        for study in self._unfinished():
            with self._guarded(study):
                study.look_ahead()

    def _say_waits(self) -> None:
        """Now and then: tell what studies wait for that could run more."""
        if time.monotonic() < self._waits_due:
            return
        self._waits_due = time.monotonic() + WAITS_S
        for study in self._unfinished():
            shortage = self._backend.shortage(study.spec.resources)
            study.interruptions.say_waits(study.limits, shortage)

    def _share(self, study: DrivenStudy) -> tuple[int, float, int]:
        """Slots that a study holds, and slot time that it had in this run."""
        held = sum(owner is study for owner in self._executing.values())
        return held, self._slot_time[study.name], self._studies.index(study)

    def _place(self, study: DrivenStudy) -> bool:
        """Do the first thing that the plan says; False where it says nothing that can be done."""
        resources = study.spec.resources
        capacity = int(self._backend.room(resources, study.state.project))
        for action in plan(
            study.state,
            capacity,
            study.limits,
            study.now,
            study.candidate,
            study.interruptions.resting,
        ):
            with self._guarded(study):
                match action:
                    case Conclude(trial=trial, state=state):
                        study.conclude(trial, state)
                    case Ask():
                        study.ask()
                    case Judge(trial=trial):
                        study.judge(trial)
                    case Exploit(trial=trial):
                        study.exploit(trial)
                    case Promote(trial=trial, rung=rung):
                        study.promote(trial, rung)
                    case Dispatch(trial=trial):
                        assignment = study.assign(trial)
                        self._executing[Key.of(assignment)] = study
                        self._begun[Key.of(assignment)] = time.monotonic()
                        self._backend.dispatch(assignment, resources)
                    case Halt(reason=reason) if reason == INTERRUPTED:
                        study.halt_interrupted()
                        return False
                    case Halt(reason=reason):
                        self._halt(study, reason)
                        return False
            return study.error is None and study.refused is None
        return False

    def _handle(self, key: Key, message: Message | WorkerDied) -> None:
        if key not in self._executing:
            return  # what it said before it was ended; its study may be closed by now
        study = self._by_name[key.study]
        verdict = None
        with self._guarded(study):
            verdict = study.handle(key, message)
        if verdict is not None:
            self._backend.command(key, verdict)
        if _ends(message):
            self._executing.pop(key, None)
            begun = self._begun.pop(key, None)
            self._slot_time[key.study] += 0.0 if begun is None else time.monotonic() - begun
            self._told_to_stop.discard(key)
            self._stopping.pop(key, None)
        self._look_for_stops()
        self._settle()

    def _settle(self) -> None:
        for study in self._studies:
            with self._guarded(study):
                study.settle(partial(self._observer.entry, study))
        self._observer.tick(self._all)

    def _look_for_stops(self) -> None:
        for study in self._studies:
            if self._backend.fault is not None:
                study.give_up(self._backend.fault, BACKEND_DIED)
            if study.halted is None:
                if self._signals.received is not None:
                    self._halt(study, self._signals.received.name)
                elif study.refused is not None:
                    self._halt(study, study.refusal)
                elif study.stop_requested():
                    self._halt(study, "stopped")
                elif timed_out(study.state, study.limits, study.now):
                    self._halt(study, "timeout")
                elif (why := failing(study.state, study.limits.max_failures)) is not None:
                    self._halt(study, why)
            if study.halted is not None:
                self._press(study)
            else:
                self._end_stopped(study)

    def _end_stopped(self, study: DrivenStudy) -> None:
        """Ask trials that a user has stopped to save and leave; end those that did not in time."""
        for key in [key for key, owner in self._executing.items() if owner is study]:
            if not study.state.trials[key.trial].stopped:
                continue
            if key not in self._told_to_stop:
                self._told_to_stop.add(key)
                self._stopping[key] = time.monotonic() + self._grace
                self._backend.command(key, Verdict.STOP)
            elif time.monotonic() >= self._stopping.get(key, math.inf):
                self._backend.kill(key)
                del self._executing[key]
                with self._guarded(study):
                    study.intervention.abandon(key.trial)

    def _halt(self, study: DrivenStudy, reason: str) -> None:
        study.halted = reason
        self._deadlines[study.name] = time.monotonic() + self._grace

    def _press(self, study: DrivenStudy) -> None:
        """Ask the study's trials to save and leave; end those that did not in time."""
        late = time.monotonic() >= self._deadlines[study.name]
        for key in [key for key, owner in self._executing.items() if owner is study]:
            if late:
                self._backend.kill(key)
                del self._executing[key]
                study.unsaved.add(key.trial)
            elif key not in self._told_to_stop:
                self._told_to_stop.add(key)
                self._backend.command(key, Verdict.STOP)

    @contextmanager
    def _guarded(self, study: DrivenStudy) -> Iterator[None]:
        """An error of a study ends it and its trials, not the others."""
        try:
            yield
        except SweepError as error:
            if study.error is None:
                study.error = error
            for key in [key for key, owner in self._executing.items() if owner is study]:
                self._backend.kill(key)
                del self._executing[key]

    def _close_ended(self) -> None:
        """Leave the studies that are over to others: `sweep resume`, another driver, a reader."""
        busy = {study.name for study in (*self._executing.values(), *self._unfinished())}
        until = time.monotonic() + TRACKERS_WAIT_S
        for study in [study for study in self._studies if study.name not in busy]:
            # Else the others would stand still for its mirror, or its trackers.
            if (study.mirrored and study.tracked) or not busy:
                self._studies.remove(study)
                self._results[study.name] = self._close(study, until)

    def _close(self, study: DrivenStudy, until: float) -> Result:
        reason = study.halted or "complete"
        if study.error is not None:
            reason = type(study.error).__name__
        elif is_complete(study.state, study.limits):
            reason = "complete"
        try:
            study.end(
                reason,
                partial(self._observer.entry, study),
                until,
                lambda: self._signals.received is not None,
            )
        except SweepError as error:
            study.error = study.error or error
        return Result(study, reason, study.refused or study.error)


def _ends(message: Message | WorkerDied) -> bool:
    return isinstance(message, Ended | WorkerDied)
