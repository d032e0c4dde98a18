"""The objects whose state is saved, by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from sweep.checkpoint.exclusion import Keys, completed
from sweep.checkpoint.fit import check_types
from sweep.errors import CheckpointMismatchError, UsageError
from sweep.trial.born import born_values, refitted

_ADVICE = "make it as it was saved, or start a new study"


@runtime_checkable
class Stateful(Protocol):
    """What can be tracked: a module, an optimizer, a schedule, a scaler, anything alike."""

    def state_dict(self) -> Any:
        """The state, made of what `sweep.checkpoint.codec` knows."""

    def load_state_dict(self, state: Any, /) -> Any:
        """Take on a state that `state_dict` gave."""


class Tracker:
    """Objects by name. Each takes on its saved state, if there is one, when it is tracked."""

    def __init__(
        self,
        restored: str | None,
        states: Mapping[str, Any],
        excluded: Sequence[Keys] = (),
        classes: Mapping[str, str] | None = None,
    ) -> None:
        """``states`` are those of the checkpoint with the id ``restored`` (None: no checkpoint).

        ``excluded`` are the parts that were left out of it: objects keep what they have there.
        ``classes`` are the `classes` of its objects, as far as it says.
        """
        self._restored, self._waiting = restored, dict(states)
        self._excluded = excluded
        self._saved = frozenset(states) | {keys[0] for keys in excluded if len(keys) == 1}
        self._objects: dict[str, Stateful] = {}
        self._originals: dict[str, Any] = {}
        self._checked = restored is None
        self.born: dict[str, Any] = {}
        """What optimizers and schedules were built with, by name; see `sweep.trial.born`."""
        self.classes: dict[str, str] = {}
        """Of those, the classes that are torch's own: their states load into each other."""
        self._saved_classes = classes or {}
        self._forked: Mapping[str, Any] | None = None
        self._warn: Callable[[str], None] = lambda message: None
        self.used = False
        """Whether `track` was called, be it with nothing."""

    def named(self, objects: Iterable[Any]) -> dict[str, Any]:
        """``objects`` by the names of their classes.

        Raises:
            UsageError: two are of one class.
        """
        named: dict[str, Any] = {}
        for value in objects:
            name = type(value).__name__
            for other in (named.get(name, value), self._originals.get(name, value)):
                if other is not value:
                    raise UsageError(
                        f"trial.track: two objects are a {name}: give them names, as in "
                        f"trial.track(first=..., second=...)"
                    )
            named[name] = value
        return named

    def track(self, objects: Mapping[str, Any]) -> None:
        """Track ``objects``.

        Raises:
            TypeError: one has no state_dict and load_state_dict; names it.
            UsageError: the name stands for another object.
            CheckpointMismatchError: the saved state does not fit the object.
        """
        self.used = True
        for name, value in objects.items():
            if self._originals.get(name, value) is not value:
                raise UsageError(f"trial.track: {name!r} is tracked already, another object")
        adapted = {name: _adapt(name, value) for name, value in objects.items()}
        self._originals.update(objects)
        for name, stateful in adapted.items():
            self._objects.setdefault(name, stateful)
            if name not in self.born and (born := born_values(objects[name])) is not None:
                self.born[name] = born
                if type(objects[name]).__module__.startswith("torch."):
                    self.classes[name] = type(objects[name]).__qualname__
            if name in self._waiting:
                self._load(name, stateful)

    def refit(self, born: Mapping[str, Any], warn: Callable[[str], None]) -> None:
        """The checkpoint is another trial's, whose objects were ``born`` so: parameters that this
        trial's objects are built with take the place of those. What cannot be done is ``warn``-ed
        of."""
        self._forked, self._warn = born, warn

    def capture(self) -> dict[str, Any]:
        """The states now; they may share memory with the objects."""
        return {name: stateful.state_dict() for name, stateful in self._objects.items()}

    @property
    def objects(self) -> Mapping[str, Any]:
        """What is tracked, as it was given."""
        return self._originals

    def written(self) -> int | None:
        """How often the weights of the tracked modules were written to, as torch counts; None where
        there are none. Equal counts mean equal weights."""
        torch = sys.modules.get("torch")
        if torch is None:
            return None
        modules = [m for m in self._originals.values() if isinstance(m, torch.nn.Module)]
        try:
            counts = [
                tensor._version
                for module in modules
                for tensors in (module.parameters(), module.buffers())
                for tensor in tensors
            ]
        except RuntimeError:  # tensors made in inference mode have no count
            return None
        return sum(counts) if counts else None

    @property
    def has_loader(self) -> bool:
        """Whether a StatefulDataLoader that the user made is tracked."""
        module = sys.modules.get("torchdata.stateful_dataloader")
        return module is not None and any(
            isinstance(value, module.StatefulDataLoader) for value in self._originals.values()
        )

    def check(self) -> None:
        """At the first safe point after a restore: was all tracked that was saved?

        Raises:
            CheckpointMismatchError: no, or more; names both sides.
        """
        if self._checked:
            return
        self._checked = True
        if self._saved != self._objects.keys():
            raise CheckpointMismatchError(
                f"checkpoint {self._restored} holds {_list(self._saved)}, but the trial tracks "
                f"{_list(self._objects)}: track the same objects, or start a new study"
            )

    def _load(self, name: str, stateful: Stateful) -> None:
        state = self._waiting.pop(name)
        self._check_class(name)
        check_types(self._restored, name, self._originals[name], state)
        parts = [keys[1:] for keys in self._excluded if keys[0] == name]
        if parts:
            state = completed(state, stateful.state_dict(), parts)
        if self._forked is not None and name in self.born:
            state = self._refitted(name, state, self._forked)
        try:
            stateful.load_state_dict(state)
        except Exception as error:
            if _may_pass(error):
                raise
            why = " ".join(str(error).split())
            raise CheckpointMismatchError(
                f"checkpoint {self._restored} does not fit {name!r} "
                f"({type(self._originals[name]).__name__}): {why}; {_ADVICE}"
            ) from error
        if hasattr(stateful, "param_groups") and isinstance(state, dict) and state.get("state"):
            # An optimizer that has made steps: or else a schedule, stepped next, warns that none
            # was made.
            stateful._opt_called = True  # type: ignore[attr-defined]

    def _refitted(self, name: str, state: Any, born: Mapping[str, Any]) -> Any:
        if name not in born:
            self._warn(
                f"checkpoint {self._restored} does not say what {name!r} was built with (it is of "
                "an older version): the parent's hyperparameters are used"
            )
            return state
        return refitted(state, born[name], self.born[name])

    def _check_class(self, name: str) -> None:
        """A schedule takes any other one's state, and an optimizer fails at its next step."""
        saved, ours = self._saved_classes.get(name), self.classes.get(name)
        if saved is not None and ours is not None and saved != ours:
            raise CheckpointMismatchError(
                f"checkpoint {self._restored} does not fit {name!r}: it was saved of torch's "
                f"{saved}, and is {ours} in the trial: {_ADVICE}"
            )


def _may_pass(error: Exception) -> bool:
    """Whether it was for want of memory, say, and no fault of the state's."""
    return isinstance(error, MemoryError | OSError) or "out of memory" in str(error)


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _adapt(name: str, value: Any) -> Stateful:
    if isinstance(value, Stateful) and not isinstance(value, type):
        return value
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and isinstance(value, numpy.random.Generator):
        return _NumpyGenerator(value)
    if torch is not None and isinstance(value, torch.Generator):
        return _TorchGenerator(value)
    raise TypeError(
        f"trial.track: {name} is a {type(value).__name__}, which has no state_dict() and "
        "load_state_dict(); put plain values into trial.state instead"
    )


class _NumpyGenerator:
    def __init__(self, generator: Any) -> None:
        self._bits = generator.bit_generator

    def state_dict(self) -> Any:
        return self._bits.state

    def load_state_dict(self, state: Any, /) -> None:
        self._bits.state = state


class _TorchGenerator:
    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def state_dict(self) -> Any:
        return {"state": self._generator.get_state()}

    def load_state_dict(self, state: Any, /) -> None:
        self._generator.set_state(state["state"])
