"""What happens at the safe points of one attempt: reports, saves, stops and resumes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from sweep.checkpoint.saver import Saver
from sweep.checkpoint.store import Checkpoint
from sweep.errors import UsageError
from sweep.trial.agreement import Agreement, Alone, Place
from sweep.trial.autosave import Callback, Demand
from sweep.trial.deliberation import Deliberation
from sweep.trial.forking import Forking
from sweep.trial.inventory import Inventory
from sweep.trial.message import Link, Reported
from sweep.trial.metric import Report
from sweep.trial.outcome import Outcome, TrialExit, TrialStopped, leaving
from sweep.trial.own_loop import OwnLoop
from sweep.trial.reporting import Reporting
from sweep.trial.restoration import Restoration
from sweep.trial.saving import Saving
from sweep.trial.setting import Setting
from sweep.trial.trace import Trace


class Session:
    """One attempt of a trial, behind its `Trial`."""

    def __init__(
        self,
        setting: Setting,
        link: Link,
        log: logging.Logger,
        saver: Saver | None = None,
        restored: Checkpoint | None = None,
        agreement: Agreement | None = None,
        trace: Trace | None = None,
    ) -> None:
        """Without a ``saver`` nothing is saved, without a ``trace`` no step noted. ``restored`` is
        where to go on from.

        ``agreement`` is with the other processes of the trial, where there are any.
        """
        self.metric = setting.metric or "objective"
        self._link, self._agreement = link, agreement or Alone()
        inventory = self._inventory = Inventory(setting.scope, log, restored, self.rewind)
        self.position, self.state = inventory.position, inventory.state
        self.tracker, self.loaders = inventory.tracker, inventory.loaders
        self.position.pause &= setting.held  # it may have been promoted since it was saved
        self._restoration = Restoration(setting.seed, restored, inventory)
        source, rank = self._restoration.id, self._agreement.rank
        saving = self._saving = Saving(
            setting, saver, inventory, rank=rank, parent=source, spare=self._restoration.spare
        )
        preamble = restored is not None and self.position.looped
        reporting = self._reporting = Reporting(setting, link, inventory, saving, preamble=preamble)
        self.reports: list[Report] = reporting.reports
        forking = self._forking = Forking(link, self.position, saving)
        forking.repeat(source, made=self._restoration.forked)
        self._deliberation = Deliberation(
            link, log, inventory, saving, reporting, forking, final=setting.scope.final
        )
        self._loop, self._over = 0, self.position.loops
        self._began_at = self.position.global_step
        self._own_loop = OwnLoop(inventory, self._restoration, log, saves=saver is not None)
        self._trace = trace
        self._exit: TrialExit | None = None
        self._theirs: dict[str, float] | None = None

    # ---- going on

    def library_loaded(self, library: str) -> None:
        """See `Restoration.library_loaded`."""
        self._restoration.library_loaded(library)

    def rewind(self) -> None:
        """See `Restoration.rewind`."""
        self._restoration.rewind()

    def track(self, objects: Mapping[str, Any]) -> None:
        """See `Trial.track`."""
        self.tracker.track(
            {name: value for name, value in objects.items() if not self.loaders.owns(value)}
        )
        if self._saving.possible:
            self._inventory.gradients.watch()
        self.rewind()

    def state_read(self) -> None:
        """See `Restoration.read_state`."""
        self._restoration.read_state()

    @property
    def start(self) -> int:
        """See `Trial.start`."""
        return self._own_loop.start()

    @property
    def global_step(self) -> int:
        """See `Trial.global_step`."""
        return self._own_loop.global_step()

    # ---- progress

    def epochs(self, count: int) -> Iterator[int]:
        """See `Trial.epochs`."""
        loop, self._loop = self._loop, self._loop + 1
        if loop < self._over:
            return  # it was over, by its count or a break, when the checkpoint was taken
        self._reporting.end_preamble()
        restoration = self._restoration
        if self.position.epoch == count and not restoration.inside and restoration.pending:
            self.rewind()  # the checkpoint is at the end of this very loop
            self._settle()
        while self.position.epoch < count:
            self._begin_epoch(last=self.position.epoch + 1 == count)
            try:
                yield self.position.epoch
            except GeneratorExit:
                self._leave_epoch()
                self.position.loops = loop + 1
                raise
            self._end_epoch()
            over = self.position.epoch >= count
            self._safe_point("the end of an epoch", resumable=True, over=over)
        self.position.loops = loop + 1

    def step(self) -> None:
        """See `Trial.step`."""
        self.position.global_step += 1
        if self._trace is not None:
            self._trace.reached(self.position.global_step)
        self._inventory.measurement.stepped()
        self.loaders.step()
        resumable = self._inventory.in_flight
        if not self.position.looped:
            resumable = self._own_loop.step_is_safe
            self._own_loop.advise()
        self._safe_point("trial.step()", resumable=resumable, patient=False)

    def report(self, metrics: dict[str, float]) -> None:
        """See `Trial.report`."""
        position = self.position
        if not position.within:  # before the driver hears of what would be taken back
            self._restoration.check_loop(self._agreement.size, found=self._own_loop.found)
        self._reporting.report(metrics)
        if not (position.within or position.looped or self._own_loop.counts_steps):
            self._own_loop.advise()
            self._own_loop.reported()
            # The first may be one of a preamble to epochs: what is due waits for the second, but
            # who leaves is saved.
            alone = self._own_loop.may_be_preamble
            self._safe_point("trial.report()", resumable=True, alone=alone)

    def fork(self, changes: Mapping[str, Any]) -> None:
        """See `Trial.fork`."""
        if self._agreement.size > 1:
            raise UsageError("trial.fork: not in a trial of several processes; use `sweep fork`")
        if not self._inventory.savable:
            raise UsageError("trial.fork: nothing is tracked, so a fork has nothing to go on from")
        self._forking.want(changes)

    def finish(self, returned: Mapping[str, float]) -> Outcome:
        """The function has returned: save the end, and return when it is durable.

        Raises:
            CheckpointError: something could not be saved.
            CheckpointMismatchError: the function did not take up what was restored.
        """
        if self._exit is not None:  # somebody caught it
            return self._exit.outcome
        if self._theirs is not None:
            if returned and returned != self._theirs:
                raise UsageError(
                    "trial.spawn: what rank 0 returns is the trial's result; return what spawn "
                    "returns, and nothing else"
                )
            return Outcome.COMPLETE
        self._settle()
        # A checkpoint is judged by what was reported where it was taken: the best value of a trial
        # that stopped early is not that of its last weights.
        fresh = [name for name in returned if name not in self.position.metrics]
        self.position.metrics = {**returned, **self.position.metrics}
        self._inventory.measurement.reported(fresh)
        self._inventory.returned = dict(returned)
        decision = self._agreement.reach(
            self._place("the end of the trial"), self._deliberation.at_end
        )
        if decision.demand is not None:
            self._saving.save(decision.demand)
        self._saving.wait()
        self._forking.ask()
        return decision.leave or Outcome.COMPLETE

    def result(self, returned: dict[str, float]) -> dict[str, float]:
        """What the trial has come to, where its function has ``returned`` that."""
        return returned if self._theirs is None else self._theirs

    def checkpoint(self, *, wait: bool, then: Callback | None) -> str | None:
        """See `Trial.checkpoint`."""
        if not self._saving.possible:
            return None
        decision = self._agreement.reach(
            self._place("trial.checkpoint()"),
            lambda: self._deliberation.at_checkpoint(resumable=self._own_loop.resumable),
        )
        if decision.demand is None and not self._inventory.savable:
            return None
        self._saving.ask(then, wait=wait)
        if decision.demand is None:
            return None  # what runs now would not be found again: the next safe point saves
        self._settle()
        identifier = self._saving.save(decision.demand)
        if wait:
            self._saving.wait()
        return identifier

    @property
    def resumed_from(self) -> str | None:
        """See `Trial.resumed_from`."""
        return self._restoration.id

    @property
    def last_checkpoint(self) -> str | None:
        """See `Trial.last_checkpoint`."""
        return self._saving.last or self._restoration.id

    def close(self) -> None:
        """End all threads and processes of the attempt; what is being saved is saved first.

        Raises:
            CheckpointError: it could not be saved.
        """
        self.loaders.close()
        self._inventory.gradients.close()
        self._saving.close()

    # ---- for `sweep.trial.ranks`

    def hand_over(self, size: int) -> None:
        """From here on the trial runs in ``size`` other processes.

        Raises:
            UsageError: it has been handed over, or begun to run in this one.
            CheckpointMismatchError: it was saved by another number of processes.
        """
        if self._theirs is not None:
            raise UsageError("trial.spawn: once is all that a trial function can call it")
        begun = self._loop or self.reports or self._restoration.state_read or self.position.within
        if begun or self.tracker.used or self.position.global_step > self._began_at:
            raise UsageError(
                "trial.spawn: track, epochs, step, report and state belong into the function that "
                "is spawned; here none may be used before"
            )
        self._restoration.check_world(size)
        self._theirs = {}

    def heard(self, message: Reported) -> None:
        """The other processes have reported, and the driver knows."""
        self.reports.append(Report(message.step, message.metrics))

    def come_back(self, outcome: Outcome, returned: Mapping[str, float]) -> None:
        """The other processes have saved and ended."""
        self._theirs = dict(returned)
        if outcome is not Outcome.COMPLETE:
            self._exit = leaving(outcome)
            raise self._exit

    # ---- for `sweep.trial.once`

    def when_stopping(self, call: Callable[[], None]) -> None:
        """See `sweep.trial.message.Link`."""
        self._link.when_stopping(call)

    def leave(self) -> NoReturn:
        """Leave as stopped from where nothing can be saved; what was saved before stands."""
        self._leave(TrialStopped(), None)

    def progress(self) -> tuple[int, int, int, int]:
        """Changes with every step, report and epoch."""
        position = self.position
        return position.epoch, position.global_step, position.reports, self._reporting.count

    def _begin_epoch(self, *, last: bool) -> None:
        if self.position.within:
            raise UsageError("trial.epochs() inside of trial.epochs(): one loop at a time")
        self.position.within = self.position.looped = True
        self._inventory.measurement.trained()
        self._reporting.begin_epoch(last=last)
        self.loaders.begin_epoch(self.position.epoch)
        self.rewind()

    def _end_epoch(self) -> None:
        self.position.within = False
        self.position.epoch += 1
        self.position.partial = {}
        self.loaders.end_epoch()

    def _leave_epoch(self) -> None:
        """The loop was left by break or return. An epoch that has reported counts as completed."""
        if self.position.partial:
            self._end_epoch()
        self.position.within, self.loaders.epoch = False, None

    # ---- safe points

    def _safe_point(
        self,
        at: str,
        *,
        resumable: bool,
        patient: bool = True,
        over: bool = False,
        alone: bool = False,
    ) -> None:
        """``resumable``: the code that runs now would be found again from what is saved here.

        ``patient``: a save that is due may wait for the one in flight. ``over``: the loop has come
        to its end, and with it the trial, maybe. ``alone``: a save that is due waits for another
        safe point.
        """
        if self._exit is not None:
            raise type(self._exit)
        self._settle()
        self._saving.check()
        self._inventory.measurement.look()
        decision = self._agreement.reach(
            self._place(at),
            lambda: self._deliberation.at_safe_point(
                resumable=resumable, patient=patient, over=over, alone=alone
            ),
        )
        if decision.leave is not None:
            self._leave(leaving(decision.leave), decision.demand)
        self._saving.deliver()
        if decision.demand is not None:
            self._saving.save(decision.demand)
            if decision.demand.wait:
                self._saving.wait()

    def _place(self, at: str) -> Place:
        position = self.position
        return Place(at, position.epoch, position.global_step, position.reports)

    def _settle(self) -> None:
        self._restoration.settle(self._agreement.size, found=self._own_loop.found)

    def _leave(self, exit_: TrialExit, demand: Demand | None) -> NoReturn:
        if demand is not None:
            self._saving.save(demand)
        self._saving.wait()
        if demand is not None:
            self._forking.ask()
        self._exit = exit_
        raise exit_
