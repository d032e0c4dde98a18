"""Slots that had nothing to do while there were trials to ask."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Idling:
    """Adds up the time of slots until the last trial began; then they idle since none is left.

    Attributes:
        slots: how many the session has; 0 where that is not known.
        slot_s: seconds that there were, over all slots.
        lost_s: those of them that passed idle.
    """

    slots: int = 0
    slot_s: float = 0.0
    lost_s: float = 0.0
    _slot_s: float = 0.0
    _lost_s: float = 0.0

    @property
    def share(self) -> float | None:
        """The part of the slot time that was lost, or None where nothing was measured."""
        return self.lost_s / self.slot_s if self.slot_s else None

    def begin(self, slots: int | None) -> None:
        """A session begins. What an earlier one did after its last beginning does not count."""
        self.slots = slots or 0
        self._slot_s = self._lost_s = 0.0

    def passed(self, seconds: float, executing: int) -> None:
        """So much time passed while so many trials were executing."""
        self._slot_s += seconds * self.slots
        self._lost_s += seconds * max(0, self.slots - executing)

    def began(self) -> None:
        """A trial began, or goes on: up to here there was something to do."""
        self.slot_s += self._slot_s
        self.lost_s += self._lost_s
        self._slot_s = self._lost_s = 0.0
