"""A loop that is not one over `Trial.epochs`: whether, and where, it can be resumed."""

from __future__ import annotations

import logging

from sweep.trial.inventory import Inventory
from sweep.trial.restoration import WAY_OUT, Restoration


class OwnLoop:
    """Notices what the function asks for, and so whether it knows where its loop goes on."""

    def __init__(
        self, inventory: Inventory, restoration: Restoration, log: logging.Logger, *, saves: bool
    ) -> None:
        """``saves``: whether anything is saved in this attempt."""
        self._inventory, self._restoration = inventory, restoration
        self._position, self._loaders = inventory.position, inventory.loaders
        self._log, self._advised = log, not saves
        self._began_at, self._start = self._position.global_step, self._position.reports
        self._reported_at = self._began_at
        self._knows_start = self._knows_step = False

    def start(self) -> int:
        """See `Trial.start`."""
        if not self._knows_start:
            self._knows_start = True
            self._restoration.rewind()  # the loop begins here
        return self._start

    def global_step(self) -> int:
        """See `Trial.global_step`."""
        if not self._knows_step and self._position.global_step == self._began_at:
            self._knows_step = True
            if not self._position.within:
                self._restoration.rewind()
        return self._position.global_step

    def reported(self) -> None:
        """A report outside of epochs was made."""
        self._reported_at = self._position.global_step

    @property
    def found(self) -> bool:
        """Whether the function knows where it goes on."""
        epochs = self._position.looped or self._knows_start or self._loaders.first_pass
        steps = self._knows_step and self._began_at > 0
        return epochs or steps or self._restoration.state_read

    @property
    def step_found_again(self) -> bool:
        """Whether the loop could be resumed after any of its steps."""
        # Who asks for the number of reports can be resumed after a report only.
        steps = self._knows_step and not self._knows_start
        return steps or self._restoration.state_read or self._loaders.in_first_pass

    @property
    def step_is_safe(self) -> bool:
        """Whether a step may save: not where the loop is known to be lost in the middle of it."""
        return self.step_found_again or not self._knows_start

    @property
    def counts_steps(self) -> bool:
        """Whether the loop goes by its steps: then they alone are safe points."""
        return self._knows_step and not self._knows_start and self._position.global_step > 0

    @property
    def may_be_preamble(self) -> bool:
        """Whether the report just made may be one before epochs."""
        position = self._position
        trained = self._inventory.state or position.global_step or position.reports > 1
        return not (self.found or trained)

    @property
    def resumable(self) -> bool:
        """Whether what runs now, at no safe point, would be found again."""
        position = self._position
        if position.looped:
            return self._inventory.in_flight
        if self._knows_start and not self.step_found_again:
            return position.reports > 0 and position.global_step == self._reported_at
        return bool(self._inventory.state) or position.global_step > 0 or position.reports > 0

    def advise(self) -> None:
        """Say once that a resume would begin the loop anew."""
        if self._advised or self._restoration.pending or not self._inventory.savable:
            return
        position = self._position
        if self.found or self.step_found_again:
            return
        if position.reports > 1 or position.global_step > 1:
            self._advised = True
            self._log.warning(
                "the loop does not say where it goes on, so a resume would start the trial from "
                "scratch: %s",
                WAY_OUT,
            )
