"""The saves of one attempt: when they are due, and how they are made."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sweep.checkpoint.draft import Draft
from sweep.checkpoint.saver import Saver
from sweep.clock import Clock
from sweep.trial.autosave import Autosave, Callback, Demand
from sweep.trial.inventory import Inventory
from sweep.trial.setting import Setting


class Saving:
    """Saves the inventory of a trial; without a saver nothing is ever saved.

    Attributes:
        parent: id of the checkpoint that the next one follows: the last save, or the restored one.
    """

    def __init__(
        self,
        setting: Setting,
        saver: Saver | None,
        inventory: Inventory,
        *,
        rank: int,
        parent: str | None,
        spare: bool,
    ) -> None:
        """Of the process ``rank`` of a trial that goes on from ``parent``, if from any.

        ``spare``: see `Autosave`.
        """
        self._setting, self._saver, self._inventory = setting, saver, inventory
        self._rank = rank
        self.parent, self._written = parent, ""
        position = inventory.position
        self._autosave = (
            None
            if saver is None
            else Autosave(setting.policy, setting.scope, saver, position, spare=spare)
        )
        self._begun, self._trained_s = time.monotonic(), position.training_s
        self._clock = Clock()
        if position.begun is None:
            position.begun = self._clock()

    @property
    def possible(self) -> bool:
        return self._saver is not None

    @property
    def last(self) -> str | None:
        """The id of the last checkpoint of this attempt that is durable."""
        last = None if self._saver is None else self._saver.last
        return None if last is None else last.id

    def check(self) -> None:
        """Raise what went wrong behind the training."""
        if self._saver is not None:
            self._saver.check()

    def reported(self, metrics: Mapping[str, float]) -> None:
        """Note whether ``metrics`` are the best so far."""
        if self._autosave is not None:
            self._autosave.reported(metrics)

    def ask(self, then: Callback | None, *, wait: bool) -> None:
        """Have the next safe point save, wherever this one cannot."""
        if self._autosave is not None:
            self._autosave.ask(then, wait=wait)

    def demand(self, *, patient: bool) -> Demand | None:
        """What a safe point is to save now; see `Autosave.demand`."""
        return None if self._autosave is None else self._autosave.demand(patient=patient)

    def deliver(self) -> None:
        """Call those whose checkpoint has become durable. Raises what they raise."""
        if self._autosave is not None:
            self._autosave.deliver()

    def save(self, demand: Demand) -> str | None:
        """Begin a save; its id, or that of the save that was made at this very position."""
        if self._saver is None or self._autosave is None:
            return None
        begun = time.monotonic()
        self._inventory.measurement.look()
        draft = self._draft(demand, begun)
        if draft.manifest == self._written:
            self._saver.secure()
            self._autosave.repeated(draft.id)
            return draft.id
        if not demand.replace:
            self._saver.wait()  # before the capture, so that its memory is free again
        self._autosave.begin(demand)  # before the capture, too: what leads now is in it
        captured = self._inventory.capture(demand.kind, demand.content, self._rank)
        self._saver.save(draft, captured, replace=demand.replace)
        self._autosave.made(demand.content, draft.id, time.monotonic() - begun)
        self.parent, self._written = draft.id, draft.manifest
        return draft.id

    def wait(self) -> None:
        """Until all that was saved is durable and whoever wanted to know was told."""
        if self._saver is not None and self._autosave is not None:
            self._saver.wait()
            self._autosave.deliver()

    def close(self) -> None:
        """End the saving thread; what is being saved is saved first.

        Raises:
            CheckpointError: it could not be saved.
        """
        if self._saver is not None:
            self._saver.close()

    def _draft(self, demand: Demand, now: float) -> Draft:
        """What the manifest says beside the content. ``now`` is by the monotonic clock."""
        setting, position = self._setting, self._inventory.position
        position.training_s = self._trained_s + now - self._begun
        spent = {
            "training_s": position.training_s,
            "wall_s": max(0.0, self._clock() - position.begun) if position.begun else 0.0,
        }
        return Draft(
            trial=setting.trial,
            attempt=setting.attempt,
            session=setting.session,
            kind=demand.kind,
            epoch=position.progress,
            global_step=position.global_step,
            step=position.step,
            parent=self.parent,
            metrics=dict(position.metrics),
            measured=tuple(position.measured),
            meta={**setting.meta, **spent},
            content=demand.content,
        )
