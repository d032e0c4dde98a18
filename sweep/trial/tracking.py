"""The objects whose state is saved, by name."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from sweep.checkpoint.exclusion import Keys, completed
from sweep.checkpoint.fit import check_types
from sweep.errors import CheckpointMismatchError, UsageError
from sweep.trial.born import born_values, refitted
from sweep.trial.curve import (
    RATE,
    built_alike,
    depends_on_metrics,
    is_opaque,
    is_schedule,
    put,
    rates,
    steps_of,
    take_to,
)

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
        self._born: Mapping[str, Any] = {}
        self._forked = False
        self._log = logging.getLogger(__name__)
        self._early: dict[int, Any] = {}
        self._rates: dict[int, list[dict[str, Any]]] = {}
        self._anew: set[int] = set()
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
            self._note_born(name, objects[name])
        for name, stateful in adapted.items():
            if name in self._waiting:
                self._load(name, stateful)

    def _note_born(self, name: str, value: Any) -> None:
        if name in self.born or (born := self._early.get(id(value)) or born_values(value)) is None:
            return
        self.born[name] = born
        if type(value).__module__.startswith("torch."):
            self.classes[name] = type(value).__qualname__

    def refit(self, born: Mapping[str, Any], log: logging.Logger, *, forked: bool) -> None:
        """The objects of the checkpoint were ``born`` so.

        Where it is another trial's (``forked``), what this trial's objects are built with takes the
        place of that. Schedules that are built otherwise are taken to their step anew, in a fork
        and where a program has changed.
        """
        self._born, self._forked, self._log = born, forked, log

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
        value = self._originals[name]
        if is_schedule(value) and self._taken_anew(name, value, state):
            return
        if self._forked and name in self.born:
            state = self._refitted(name, state)
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
        self._keep_rates(value)
        if hasattr(stateful, "param_groups") and isinstance(state, dict) and state.get("state"):
            # An optimizer that has made steps: or else a schedule, stepped next, warns that none
            # was made.
            stateful._opt_called = True  # type: ignore[attr-defined]

    def _refitted(self, name: str, state: Any) -> Any:
        if name not in self._born:
            self._log.warning(
                f"checkpoint {self._restored} does not say what {name!r} was built with (it is of "
                "an older version): the parent's hyperparameters are used"
            )
            return state
        return refitted(state, self._born[name], self.born[name])

    def _keep_rates(self, value: Any) -> None:
        """Making or loading a schedule changes rates of its optimizer: they stay as restored."""
        optimizer = value if hasattr(value, "param_groups") else getattr(value, "optimizer", None)
        key, groups = id(optimizer), getattr(optimizer, "param_groups", None)
        if groups is None:
            return
        if optimizer is value and key not in self._anew:
            self._rates[key] = rates(groups)
        for group, values in zip(groups, self._rates.get(key, []), strict=False):
            put(group, values)

    def _taken_anew(self, name: str, schedule: Any, state: Any) -> bool:
        """Whether a schedule that is built otherwise was stepped to where the checkpoint is.

        Raises:
            CheckpointMismatchError: it cannot be; says what to change.
        """
        old, new = self._born.get(name), self.born.get(name)
        if old is None or new is None or depends_on_metrics(schedule):
            return False
        if not self._forked and name not in self.classes:
            return False  # what a class of the user's holds may differ from attempt to attempt
        opaque = self._forked and is_opaque(schedule)
        otherwise = not built_alike(old, new)
        if self._forked:
            otherwise |= self._other_rates(schedule, old, new)
        if not (otherwise or opaque):
            return False
        return self._take_anew(name, schedule, state, otherwise=otherwise)

    def _other_rates(self, schedule: Any, old: Any, new: Any) -> bool:
        """Whether the optimizer of a fork's schedule begins with other rates."""
        if old.get("base_lrs") != new.get("base_lrs"):
            return True
        name = self._name_of(schedule.optimizer)
        if name is None or name not in self._born:
            return False
        pairs = zip(self._born[name], self.born[name], strict=False)
        return any(one.get(key) != other.get(key) for one, other in pairs for key in RATE)

    def _take_anew(self, name: str, schedule: Any, state: Any, *, otherwise: bool) -> bool:
        optimizer = schedule.optimizer
        others = [each for each in self._originals.values() if is_schedule(each)]
        if sum(each.optimizer is optimizer for each in others) > 1:
            self._log.warning(
                f"{name!r} shares its optimizer with another schedule, so it is not taken anew to "
                "where the checkpoint is: its rate is scaled; use a ChainedScheduler"
            )
            return False
        born = self._born_of(name, optimizer)
        before, steps = rates(optimizer.param_groups), steps_of(state)
        fresh = copy.deepcopy(schedule.state_dict())
        try:
            taken = take_to(schedule, steps, born)
        except (ValueError, TypeError, IndexError) as error:
            raise CheckpointMismatchError(
                f"{name!r} is built otherwise than in checkpoint {self._restored}, and cannot be "
                f"taken to its step {steps:g}: {' '.join(str(error).split())}; fork an earlier "
                "checkpoint, or build it for more steps"
            ) from error
        if not otherwise and schedule.get_last_lr() == state.get("_last_lr"):
            schedule.load_state_dict(fresh)  # its functions give what they gave
            for group, values in zip(optimizer.param_groups, before, strict=True):
                put(group, values)
            return False
        self._anew.add(id(optimizer))
        self._rates[id(optimizer)] = taken
        self._log.info(
            f"{name!r} is built otherwise than in checkpoint {self._restored}: it is made anew and "
            f"taken to step {steps:g} (rate {_list(map(str, schedule.get_last_lr()))}); all else "
            "is restored"
        )
        return True

    def _name_of(self, optimizer: Any) -> str | None:
        names = (name for name, value in self._originals.items() if value is optimizer)
        return next(names, None)

    def _born_of(self, name: str, optimizer: Any) -> Any:
        """What the optimizer of the schedule ``name`` was built with, the schedule included."""
        known = self._name_of(optimizer)
        if known is None:
            return self._early.setdefault(id(optimizer), born_values(optimizer))
        born = self.born[known]
        if known not in self._waiting and any("initial_lr" not in group for group in born):
            raise CheckpointMismatchError(
                f"{name!r} is built otherwise than in checkpoint {self._restored}, and after its "
                f"optimizer {known!r} was restored: make it before trial.track({known}=...)"
            )
        return born

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
