"""When an attempt is saved, beyond what the driver asks for; and who hears that it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sweep.checkpoint.policy import (
    FLOOR_S,
    Policy,
    Progress,
    Scope,
    Tuning,
    due,
    improves,
    tuned,
)
from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.checkpoint.saver import Saver
from sweep.trial.position import Position

Callback = Callable[[CheckpointRecord], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """A save that a safe point is to make."""

    kind: Kind
    content: Content = Content.FULL
    replace: bool = False
    wait: bool = False
    """Whether to return when it is durable."""


class Autosave:
    """Counts what happened since the last full save, prices saves, and holds callbacks.

    Callbacks run in the training thread, at its safe points: user code in the saving thread would
    meet objects in the middle of a training step.
    """

    def __init__(
        self, policy: Policy, scope: Scope, saver: Saver, position: Position, *, spare: bool
    ) -> None:
        """``spare``: whether the last save was none for the sake of `Scope.best`."""
        self._spare = spare
        self._policy, self._scope, self._saver = policy, scope, saver
        self._position = position
        self._improved = False
        self._asked: list[Callback | None] = []
        self._asked_to_wait = False
        self._tuning: Tuning | None = None
        self._blocked_s: float | None = None
        self._callbacks: list[tuple[str, Callback]] = []
        self._mark()

    def reported(self, metrics: Mapping[str, float]) -> None:
        """Note whether ``metrics`` are the best so far."""
        wanted = self._scope.improvement
        if wanted is None or wanted.metric not in metrics:
            return
        value, best = metrics[wanted.metric], self._position.best
        if improves(value, best, maximize=wanted.maximize):
            self._position.best, self._improved = value, True

    def ask(self, then: Callback | None, *, wait: bool) -> None:
        """Have the next safe point save, wherever this one cannot."""
        self._asked.append(then)
        self._asked_to_wait |= wait

    def demand(self, *, patient: bool) -> Demand | None:
        """What a safe point is to save now.

        One that is ``patient`` (the end of an epoch) may wait for the save in flight, so that the
        checkpoints at ends of epochs do not depend on how fast the disk is. A step does not wait,
        unless all are `Scope.patient`: what is due stays due until the save in flight is durable,
        or replaces it.
        """
        self._price()
        patient |= self._scope.patient
        periodic = due(self._policy, self._since(), self._interval)
        leads = self._leads()
        if not (periodic or self._improved or leads or self._asked):
            return None
        replace = False
        if self._saver.busy:
            replace = periodic and self._scope.replace and self._saver.replaceable and not patient
            if not patient and not replace:
                return None
        if self._asked:
            return Demand(kind=Kind.MANUAL, replace=replace, wait=self._asked_to_wait)
        if self._improved and (periodic or not self._scope.components):
            return Demand(kind=Kind.IMPROVEMENT, replace=replace)
        if periodic:
            return Demand(kind=Kind.PERIODIC, replace=replace)
        if leads:
            return Demand(kind=Kind.IMPROVEMENT)
        return Demand(kind=Kind.IMPROVEMENT, content=Content.PARTIAL)

    def begin(self, demand: Demand) -> None:
        """A save is about to capture the state."""
        self._spare = demand.kind is not Kind.IMPROVEMENT
        value = self._measured()
        if value is not None and demand.content is not Content.LIGHT:
            best = self._position.leading
            if improves(value, best, maximize=self._maximize):
                self._position.leading = value

    def made(self, content: Content, identifier: str, blocked_s: float) -> None:
        """A save was begun, and training stood still for ``blocked_s`` seconds."""
        self._improved = False
        self._blocked_s = blocked_s
        if content is not Content.PARTIAL:
            self._mark()
        for then in self._asked:
            self.tell(identifier, then)
        self._asked, self._asked_to_wait = [], False

    def repeated(self, identifier: str) -> None:
        """What was to be saved had been saved at this very position."""
        self.made(Content.FULL, identifier, 0.0)
        self._blocked_s = None

    def tell(self, identifier: str, then: Callback | None) -> None:
        """Call ``then`` once the checkpoint of this id is durable."""
        if then is not None:
            self._callbacks.append((identifier, then))

    def deliver(self) -> None:
        """Call those whose checkpoint has become durable. Raises what they raise."""
        self._price()
        if not self._callbacks:
            return
        durable = {record.id: record for record in self._saver.durable()}
        ready = [(durable[name], then) for name, then in self._callbacks if name in durable]
        self._callbacks = [each for each in self._callbacks if each[0] not in durable]
        for record, then in ready:
            then(record)

    def _leads(self) -> bool:
        """Whether this very state was measured to be better than any that was saved.

        It is asked for where saves of the policy fall between reports, once between two of them.
        """
        between = self._policy.steps is not None or self._policy.seconds is not None
        if not (between and self._spare):
            return False
        value = self._measured()
        if value is None:
            return False
        free = self._policy.overhead is None or self._since().seconds >= self._interval
        return free and improves(value, self._position.leading, maximize=self._maximize)

    def _measured(self) -> float | None:
        """The study's metric of this very state, where one may be the best."""
        best, position = self._scope.best, self._position
        if best is None or best.metric not in position.measured:
            return None
        return position.metrics[best.metric]

    @property
    def _maximize(self) -> bool:
        return self._scope.best is not None and self._scope.best.maximize

    @property
    def _interval(self) -> float:
        return FLOOR_S if self._tuning is None else self._tuning.interval

    def _price(self) -> None:
        """Learn what the last save cost, once it is over: training that stood still, and CPU time
        that the saving thread took, which a busy machine takes from training."""
        overhead = self._policy.overhead
        if overhead is None or self._blocked_s is None or self._saver.busy:
            return
        cost, self._blocked_s = self._blocked_s + self._saver.cpu_s, None
        self._tuning = tuned(self._tuning, cost, overhead)

    def _since(self) -> Progress:
        epochs, steps, begun = self._marked
        return Progress(
            epochs=self._position.progress - epochs,
            steps=self._position.global_step - steps,
            seconds=time.monotonic() - begun,
        )

    def _mark(self) -> None:
        position = self._position
        self._marked = (position.progress, position.global_step, time.monotonic())
