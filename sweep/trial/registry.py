"""The loaders of a trial, by name, and the epoch that they are in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from sweep.errors import CheckpointMismatchError, UsageError
from sweep.trial.position import LoaderPosition

if TYPE_CHECKING:
    from sweep.trial.loader import Loader


class Registry:
    """Knows where every loader is, without keeping one alive. The `Scope` of each of them."""

    def __init__(self, resumed: Callable[[], None]) -> None:
        """``resumed`` is called once, before a pass goes on in the middle."""
        self.epoch: int | None = None
        self._resumed: Callable[[], None] | None = resumed
        self._positions: dict[str, LoaderPosition] = {}
        self._loaders: WeakValueDictionary[str, Loader] = WeakValueDictionary()
        self._made = 0
        self.first_pass = False
        """Whether the trial goes on in the middle of the first pass over a loader."""
        self.waiting: str | None = None
        """The loader in whose middle the trial goes on, until it does."""

    def restore(self, trees: Mapping[str, Any], looped: bool) -> None:
        """Go on from what `capture` gave; loaders take their places up when they are made."""
        for name, tree in trees.items():
            self._positions[name] = position = LoaderPosition(name)
            position.resume(tree, looped)
            if tree["inside"]["batches"]:
                self.waiting = name

    def position(self, name: str | None) -> LoaderPosition:
        """The place of a new loader. Without a ``name`` it is named in the order of creation.

        A loader made anew in each epoch has the place of the one before.

        Raises:
            UsageError: another loader has the name.
        """
        if name is None:
            name = f"loader{self._made}" if self.epoch is None else f"loader{self._made}-in-epoch"
            self._made += 1
        elif self.epoch is None and name in self._loaders:
            raise UsageError(f"trial.loader: {name!r} is the name of another loader")
        position = self._positions.setdefault(name, LoaderPosition(name))
        position.transient = self.epoch is not None
        return position

    def add(self, name: str, loader: Loader) -> None:
        self._loaders[name] = loader

    def owns(self, value: Any) -> bool:
        return any(loader is value for loader in self._loaders.values())

    def resumed(self, number: int) -> None:
        self.waiting = None
        self.first_pass |= number == 0
        if self._resumed is not None:
            resumed, self._resumed = self._resumed, None
            resumed()

    def begin_epoch(self, epoch: int) -> None:
        self.epoch, self._made = epoch, 0

    def end_epoch(self) -> None:
        self.epoch = None
        for position in self._positions.values():
            position.end_epoch()

    def step(self) -> None:
        for position in self._positions.values():
            position.step()

    @property
    def in_flight(self) -> bool:
        """Whether a pass that was begun in this epoch is not over."""
        return any(position.in_flight for position in self._positions.values())

    @property
    def in_first_pass(self) -> bool:
        """Whether the first pass over a loader outside of epochs is not over."""
        return any(position.in_first_pass for position in self._positions.values())

    def check(self, checkpoint: str | None) -> None:
        """At the first safe point after a restore in the middle of an epoch.

        Raises:
            CheckpointMismatchError: the loader that the checkpoint was in was not iterated again.
        """
        if self.waiting is not None:
            raise CheckpointMismatchError(
                f"checkpoint {checkpoint} is in the middle of the loader {self.waiting!r}, "
                "which was not iterated again: make the same loaders in the same order, or "
                "give them names"
            )
        for position in self._positions.values():
            position.source = None  # a loader that is made from here on begins anew

    def capture(self) -> dict[str, Any]:
        captured = {}
        for name, position in self._positions.items():
            loader = self._loaders.get(name)
            captured[name] = (
                position.capture(None, position.source) if loader is None else loader.state_dict()
            )
        return captured

    def restore_sources(self) -> None:
        """Put the generators of the users' samplers back to where the checkpoint had them."""
        for loader in self._loaders.values():
            loader.restore_source()

    def close(self) -> None:
        """End what still runs in worker processes."""
        for loader in self._loaders.values():
            loader.release()
