"""Which metrics were reported of the very state that a trial is in."""

from __future__ import annotations

from collections.abc import Iterable

from sweep.trial.position import Position
from sweep.trial.tracking import Tracker


class Measurement:
    """Follows the reports and the training of one attempt.

    Once a step is made or an epoch begins, the state is another one than the report measured. With
    one exception: a program may report first and call `Trial.step` then. Torch counts how often a
    tensor was written to; where it has counted nothing since the report, the weights are those that
    were measured. The same count finds training without any step.
    """

    def __init__(self, position: Position, tracker: Tracker) -> None:
        self._position, self._tracker = position, tracker
        self._written: int | None = None
        """What torch had counted at the last report, where it can."""
        self._fresh = False

    def reported(self, names: Iterable[str]) -> None:
        """Metrics were reported of the state as it is now."""
        self.look()
        measured = self._position.measured
        measured.extend(name for name in names if name not in measured)
        self._written, self._fresh = self._tracker.written(), True

    def stepped(self) -> None:
        """`Trial.step` was called."""
        if not self._position.measured:
            return
        # One call may belong to the training before the report; more than that may not, since a
        # program can write to tensors behind torch's back (`parameter.data`).
        known, self._fresh = self._fresh and self._written is not None, False
        if known:
            self.look()
        else:
            self.trained()

    def trained(self) -> None:
        """The state is another one than what was measured."""
        self._position.measured = []
        self._written, self._fresh = None, False

    def look(self) -> None:
        """Notice what was trained since the last report."""
        if self._written is not None and self._tracker.written() != self._written:
            self.trained()
