"""What is decided at a safe point; by `sweep.trial.agreement` all processes come to do the same."""

from __future__ import annotations

import logging

from sweep.checkpoint.record import Content, Kind
from sweep.trial.agreement import GO_ON, Decision
from sweep.trial.autosave import Demand
from sweep.trial.forking import Forking
from sweep.trial.inventory import Inventory
from sweep.trial.message import Link
from sweep.trial.outcome import Outcome
from sweep.trial.reporting import Reporting
from sweep.trial.saving import Saving


class Deliberation:
    """Weighs what the driver wants, what is due, and what can be saved."""

    def __init__(
        self,
        link: Link,
        log: logging.Logger,
        inventory: Inventory,
        saving: Saving,
        reporting: Reporting,
        forking: Forking,
        *,
        final: Content | None,
    ) -> None:
        """``final`` is what the end of the trial saves, if anything."""
        self._link, self._log, self._final = link, log, final
        self._inventory, self._position = inventory, inventory.position
        self._saving, self._reporting, self._forking = saving, reporting, forking
        self._warned = False

    def at_safe_point(
        self, *, resumable: bool, patient: bool, over: bool, alone: bool = False
    ) -> Decision:
        """At a step, a report or the end of an epoch. Forks that are wanted are asked for.

        ``resumable``: the code that runs now would be found again from what is saved here.
        ``patient``: a save that is due may wait for the one in flight.
        ``over``: the loop is at its end; a trial that ends there is complete rather than paused.
        ``alone``: what is due by the policy waits for another safe point.
        """
        saves = resumable and self._inventory.savable
        if self._position.prune and not self._position.within:
            return Decision(Demand(kind=Kind.PRUNED) if saves else None, Outcome.PRUNED)
        if self._position.pause and not self._position.within and not over:
            return Decision(Demand(kind=Kind.PAUSED) if saves else None, Outcome.PAUSED)
        # Who makes room must keep what it has reported, or it would report and leave for ever.
        room = self._reporting.room and (resumable or not self._position.looped)
        if room or self._reporting.stop or self._link.stopping:
            return Decision(Demand(kind=Kind.STOP) if saves else None, Outcome.STOPPED)
        if self._position.forks and resumable:
            self._forking.save()
        demand = None if alone else self._saving.demand(patient=patient)
        if demand is None:
            return GO_ON
        if not resumable:
            self._warn()
        return Decision(demand) if saves else GO_ON

    def at_checkpoint(self, *, resumable: bool) -> Decision:
        """Where the user asks for a checkpoint: one, if the code that runs now is found again."""
        saves = resumable and self._inventory.savable
        return Decision(Demand(kind=Kind.MANUAL)) if saves else GO_ON

    def at_end(self) -> Decision:
        """Where the trial's function has returned."""
        # A fork can only go on from a full one.
        final = Content.FULL if self._position.forks else self._final
        saves = self._inventory.savable
        if self._position.prune:
            return Decision(Demand(kind=Kind.PRUNED) if saves else None, Outcome.PRUNED)
        if final is None or not saves:
            return GO_ON
        return Decision(Demand(kind=Kind.FINAL, content=final))

    def _warn(self) -> None:
        if not self._warned and self._position.within and self._inventory.savable:
            self._warned = True
            self._log.warning(
                "no checkpoint in the middle of an epoch: the loop in it could not be gone on "
                "with; use trial.loader, and call trial.step() while it is iterated"
            )
