"""The checkpoints of all trials that ever were the best one of a study."""

from __future__ import annotations

from sweep.journal.event import Event, TrialFinished, TrialState, TrialTold
from sweep.journal.state import StudyState


class Crowned:
    """Holds what the iterations name, and what they may come to name.

    A result may have to wait until those of earlier trials are told. Until then nobody knows
    whether it will be the best one, so its checkpoint stays, too.
    """

    def __init__(self, state: StudyState) -> None:
        """With what ``state`` knows; `follow` takes it from there."""
        self._state = state
        self._named: dict[int, set[str]] = {}
        self._waiting: dict[int, str] = {}
        self._decided: set[int] = set()
        for iteration in state.iterations:
            self._name(iteration.best_trial, iteration.best_checkpoint)
        for number in state.untold:
            self._wait(number, state.trials[number].checkpoint)

    def held(self, trial: int | None = None) -> frozenset[str]:
        """Ids of the checkpoints that must stay: those of one ``trial``, or of all."""
        if trial is None:
            return frozenset(self._waiting.values()).union(*self._named.values())
        waiting = {self._waiting[trial]} if trial in self._waiting else set()
        return frozenset(waiting | self._named.get(trial, set()))

    def follow(self, event: Event) -> None:
        """Take note of an event that was journaled."""
        match event:
            case TrialFinished():
                if event.trial in self._state.untold:
                    self._wait(event.trial, event.checkpoint)
            case TrialTold():
                if self._waiting.pop(event.trial, None) is not None:
                    self._decided.add(event.trial)
                self._name(event.best_trial, event.checkpoint)
            case _:
                pass

    def take_decided(self) -> set[int]:
        """Trials that were told since this was asked last: those that did not become the best one
        hold nothing any more."""
        decided, self._decided = self._decided, set()
        return decided

    def _name(self, trial: int | None, checkpoint: str | None) -> None:
        if trial is not None and checkpoint is not None:
            self._named.setdefault(trial, set()).add(checkpoint)

    def _wait(self, trial: int, checkpoint: str | None) -> None:
        complete = self._state.trials[trial].state is TrialState.COMPLETE
        if complete and checkpoint is not None:
            self._waiting[trial] = checkpoint
