"""How an attempt goes on from its checkpoint, up to the first safe point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.checkpoint import rng
from sweep.checkpoint.record import Kind
from sweep.checkpoint.store import Checkpoint
from sweep.errors import CheckpointMismatchError
from sweep.quantity import counted
from sweep.trial.inventory import Inventory
from sweep.trial.outcome import StartsAnew

WAY_OUT = (
    "write `for epoch in trial.epochs(n)`, or `for epoch in range(trial.start, n)` with a report "
    "in each"
)
"""How a loop becomes one that can be resumed."""


class Restoration:
    """What is still to be taken up of the checkpoint that a trial goes on from, if there is one.

    Attributes:
        id: that of the checkpoint, or None.
        spare: whether the checkpoint is none that was saved for an improvement.
        forked: whether the checkpoint is a fork of another trial's.
        pending: true up to the first safe point: all generators may still have to be put back.
        inside: whether the checkpoint is in the middle of an epoch.
        state_read: whether the user's state was read.
    """

    def __init__(self, seed: int, restored: Checkpoint | None, inventory: Inventory) -> None:
        """``seed`` is the trial's own; ``inventory`` has taken over what ``restored`` holds."""
        self.id = None if restored is None else restored.manifest.id
        self.forked = restored is not None and restored.manifest.kind is Kind.FORK
        self.pending = restored is not None
        self.spare = restored is None or restored.manifest.kind is not Kind.IMPROVEMENT
        position = inventory.position
        self.inside, position.within = position.within, False
        self.state_read = False
        self._seed, self._inventory = seed, inventory
        # Without epochs, only the function itself can know where its loop goes on.
        self._begun = not position.looped and (position.reports or position.global_step)
        self._saved_by = None if restored is None else restored.manifest.world_size
        self._rng: Mapping[str, Any] = {} if restored is None else restored.tree.get("rng", {})

    def library_loaded(self, library: str) -> None:
        """A library with generators was imported: give them the state they have in this trial."""
        if self.id is None or self.pending:
            rng.seed(self._seed, library)
        else:
            rng.restore(self._rng, self._seed, library)

    def rewind(self) -> None:
        """Until the first safe point: put all generators, and gradients that are accumulated, back
        to where the checkpoint had them."""
        if self.pending:
            rng.restore(self._rng, self._seed)
            self._inventory.loaders.restore_sources()
            self._inventory.gradients.restore(self._inventory.tracker.objects)

    def read_state(self) -> None:
        """The user's state is read: where nothing else is restored, a trial goes on from here."""
        inventory = self._inventory
        if not (self.state_read or inventory.tracker.used or inventory.position.looped):
            self.rewind()
        self.state_read = True

    def settle(self, size: int, *, found: bool) -> None:
        """At the first safe point: all that was restored must have been taken up by now.

        ``size`` is how many processes the trial has. ``found``: the function knows where it goes
        on.

        Raises:
            CheckpointMismatchError: it was not, or was saved by another number of processes.
            StartsAnew: the function has begun with its first epoch or step again.
        """
        if self.pending:
            self.check_world(size)
            self._inventory.tracker.check()
            self._inventory.loaders.check(self.id)
            self.check_loop(size, found=found)
            self.pending = False

    def check_loop(self, size: int, *, found: bool) -> None:
        """Until the first safe point: whether the function knows where its loop goes on.

        Raises:
            StartsAnew: it does not, and has begun with its first epoch or step again.
            CheckpointMismatchError: the same, of a trial that cannot start from scratch.
        """
        if not self.pending or not self._begun or found:
            return
        where = f"checkpoint {self.id} goes on in the middle of a loop"
        if self.forked or size > 1:
            raise CheckpointMismatchError(
                f"{where}, but the function has begun it anew, which would repeat what was done: "
                f"{WAY_OUT}"
            )
        raise StartsAnew(f"{where}, but the function has begun it anew")

    def check_world(self, size: int) -> None:
        """Refuse another number of processes than the checkpoint was saved by.

        Raises:
            CheckpointMismatchError: it is another.
        """
        if self._saved_by is not None and self._saved_by != size:
            nouns = ("process", "processes")
            raise CheckpointMismatchError(
                f"checkpoint {self.id} was saved by {counted(self._saved_by, *nouns)}, but the "
                f"trial has {counted(size, *nouns)}: use as many again, or start a new study"
            )
