"""All of a trial that a checkpoint holds: taken over from one, and captured for the next."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sweep.checkpoint import rng
from sweep.checkpoint.buffer import Buffers
from sweep.checkpoint.encoder import Captured, Encoder, child
from sweep.checkpoint.exclusion import Keys, excluded, unmatched, without
from sweep.checkpoint.policy import Scope
from sweep.checkpoint.record import Content, Kind
from sweep.checkpoint.store import Checkpoint
from sweep.errors import UsageError
from sweep.trial.gradients import Gradients
from sweep.trial.measurement import Measurement
from sweep.trial.position import Position
from sweep.trial.registry import Registry
from sweep.trial.tracking import Tracker


class Inventory:
    """Position, state, tracked objects and loaders of a trial.

    Attributes:
        position: where the trial stands.
        state: the user's own values.
        tracker: the tracked objects.
        gradients: those of the tracked objects that wait for the optimizer's step.
        measurement: which metrics are of the state that all of it is in.
        loaders: the loaders that the trial has made.
        returned: what the trial's function has returned, once it has.
    """

    def __init__(
        self,
        scope: Scope,
        log: logging.Logger,
        restored: Checkpoint | None,
        resumed: Callable[[], None],
    ) -> None:
        """As ``restored`` has it; ``resumed`` is called before a loader goes on in the middle."""
        self._scope, self._log = scope, log
        self._buffers = Buffers()
        self._matched = not scope.exclude
        """Whether the patterns of what is left out have been held against a state."""
        tree = {} if restored is None else restored.tree
        self.position = Position.from_tree(tree.get("position", {}))
        self.state: dict[str, Any] = dict(tree.get("state", {}))
        self.tracker = Tracker(
            None if restored is None else restored.manifest.id,
            tree.get("tracked", {}),
            [tuple(keys) for keys in tree.get("excluded", [])],
            tree.get("classes", {}),
        )
        fork = restored is not None and restored.manifest.kind is Kind.FORK
        self.tracker.refit(tree.get("born", {}), log, forked=fork)
        if restored is not None and fork:
            _begin_fork(self.position, restored.manifest.parent)
        self.measurement = Measurement(self.position, self.tracker)
        self.gradients = Gradients(log, tree.get("gradients", {}))
        self.loaders = Registry(resumed)
        self.loaders.restore(tree.get("loaders", {}), self.position.looped)
        self.returned: dict[str, float] = {}

    @property
    def savable(self) -> bool:
        """Whether there is anything to save but the position."""
        # A position alone would make a resumed trial skip epochs of what was not saved.
        return self.tracker.used or bool(self.state)

    @property
    def in_flight(self) -> bool:
        """Whether the middle of an epoch can be found again."""
        return self.position.within and (self.loaders.in_flight or self.tracker.has_loader)

    def capture(self, kind: Kind, content: Content, rank: int) -> Captured:
        """Copy what ``content`` asks for, in the process ``rank`` of the trial.

        Raises:
            UsageError: a component that is to be saved is not tracked.
        """
        root = f"rank {rank}" if rank else ""  # arrays of all ranks have names of their own
        position = self.position.to_tree()
        if kind is Kind.PRUNED:  # who goes on from here does so in spite of the verdict
            position["prune"] = False
        if kind is Kind.PAUSED:  # it has been paused then
            position["pause"] = False
        encoder, full = Encoder(self._buffers), content is Content.FULL
        tracked, parts = self._tracked(content)
        tree: dict[str, Any] = {
            "position": position,
            "born": self.tracker.born,
            "classes": dict(self.tracker.classes),
            "state": self.state if full else {},
            "loaders": self.loaders.capture() if full else {},
            "rng": rng.capture() if full else {},
            "returned": self.returned,
        }
        if full and (gradients := self.gradients.capture(self.tracker.objects)):
            tree["gradients"] = gradients
        if parts:
            tree["excluded"] = [list(keys) for keys in parts]
        skeleton = {name: encoder.encode(item, child(root, name)) for name, item in tree.items()}
        skeleton["tracked"] = encoder.encode(tracked, root)
        return encoder.captured(skeleton)

    def _tracked(self, content: Content) -> tuple[dict[str, Any], list[Keys]]:
        """The tracked states that ``content`` holds, and what was left out of them by pattern."""
        if content is Content.LIGHT:
            return {}, []
        states, scope = self.tracker.capture(), self._scope
        if content is Content.PARTIAL:
            unknown = [name for name in scope.components if name not in states]
            if unknown:
                raise UsageError(
                    f"checkpoint.components: nothing is tracked as {', '.join(unknown)}; "
                    f"tracked are {', '.join(sorted(states)) or 'no objects'}"
                )
            states = {name: states[name] for name in scope.components}
        elif not self._matched and (self.position.global_step or self.position.progress):
            self._matched = True  # before a first step, an optimizer has nothing yet
            self._warn_of_patterns(states)
        parts = excluded(states, scope.exclude)
        return without(states, parts), parts

    def _warn_of_patterns(self, states: dict[str, Any]) -> None:
        for pattern in unmatched(states, self._scope.exclude):
            self._log.warning("checkpoint.exclude: %s matches nothing that is tracked", pattern)


def _begin_fork(position: Position, source: str | None) -> None:
    """A fork goes on in spite of a verdict, and of an end: with more epochs, for one."""
    position.prune = position.pause = False
    if source is not None and source.endswith(f".{Kind.FINAL}"):
        position.loops = max(0, position.loops - 1)
