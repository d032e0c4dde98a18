"""The forks that a trial asks for: each goes on from a checkpoint that holds the wish, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.checkpoint.record import Kind
from sweep.trial.autosave import Demand
from sweep.trial.message import Forked, Link
from sweep.trial.position import Position
from sweep.trial.saving import Saving


class Forking:
    """Passes on to the driver the forks that are wanted, once they are durably wanted."""

    def __init__(self, link: Link, position: Position, saving: Saving) -> None:
        self._link, self._position, self._saving = link, position, saving

    def repeat(self, checkpoint: str | None, *, made: bool) -> None:
        """Ask again for what ``checkpoint`` holds: a kill may have come before the driver knew.

        ``made``: the trial is one of those forks itself, so the driver does know.
        """
        forks, self._position.forks = self._position.forks, []
        if checkpoint is not None and not made:
            self._send(checkpoint, forks)

    def want(self, changes: Mapping[str, Any]) -> None:
        """Have the next safe point that can be found again ask for a fork with ``changes``."""
        self._position.forks.append(
            # The journal does not know NumPy's numbers.
            {name: v.item() if hasattr(v, "item") else v for name, v in changes.items()}
        )

    def save(self) -> None:
        """Save here, durably, and ask for the forks that go on from it."""
        self._saving.save(Demand(kind=Kind.MANUAL))
        self._saving.wait()
        self.ask()

    def ask(self) -> None:
        """What was saved last is durable, and holds the forks that were wanted."""
        forks, self._position.forks = self._position.forks, []
        if self._saving.possible and self._saving.parent is not None:
            self._send(self._saving.parent, forks)

    def _send(self, checkpoint: str, forks: list[dict[str, Any]]) -> None:
        for changes in forks:
            self._link.send(Forked(checkpoint=checkpoint, changes=changes))
