"""What a checkpoint holds, and putting it into objects."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sweep.checkpoint.store import Checkpoint
from sweep.errors import CheckpointMismatchError, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """What of a state did not fit the objects, by paths such as ``model.layers.0.weight``.

    ``missing`` is in the objects alone, ``unexpected`` in the checkpoint alone; ``reshaped`` and
    ``retyped`` map a path to (saved, there): a shape, or a dtype as text.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    retyped: Mapping[str, tuple[str, str]]

    @property
    def whole(self) -> bool:
        return not (self.missing or self.unexpected or self.reshaped or self.retyped)

    def __str__(self) -> str:
        parts = [
            *(f"missing: {name}" for name in self.missing),
            *(f"unexpected: {name}" for name in self.unexpected),
            *(f"{name}: saved as {a}, here {b}" for name, (a, b) in self.reshaped.items()),
            *(f"{name}: saved as {a}, here {b}" for name, (a, b) in self.retyped.items()),
        ]
        return "; ".join(parts) or "all fits"


class Loaded(dict[str, Any]):
    """The states that a trial tracked, by name. A plain dict that knows where it is from.

    Attributes:
        id: of the checkpoint.
        trial: the trial's number.
        step: of the last report in it, or None.
        params: the trial's hyperparameters.
        metrics: the latest value of each metric up to there.
        measured: those of them that were measured of this very state, and not of an earlier one.
        note: what is to be known of the choice: that a best one is not what was measured, say.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        params: Mapping[str, Any],
        *,
        measured: Collection[str] = (),
        note: str | None = None,
    ) -> None:
        super().__init__(checkpoint.tree["tracked"])
        manifest = checkpoint.manifest
        self.id, self.trial, self.step = manifest.id, manifest.trial, manifest.step
        self.params, self.metrics = dict(params), dict(manifest.metrics)
        self.measured = {name: self.metrics[name] for name in measured if name in self.metrics}
        self.note = note

    def __repr__(self) -> str:
        return f"Loaded({self.id!r}: {', '.join(self) or 'nothing'})"

    def load_into(self, *, strict: bool = True, **objects: Any) -> Fit:
        """Put the states into ``objects``: ``load_into(model=model)``.

        Args:
            strict: whether all must fit. Without it the tensors of a module that fit are loaded
                (another dtype is converted), and the others stay as they are.
            objects: what has ``load_state_dict``, under the names that the trial used.

        Returns:
            What did not fit. Only modules are looked into; other objects take their state whole.

        Raises:
            UsageError: the checkpoint holds nothing of that name.
            CheckpointMismatchError: something does not fit; names both sides. No module was
                changed where ``strict``.
        """
        if not objects:
            raise UsageError("load_into: name what to load into, as in load_into(model=model)")
        for name in objects:
            if name not in self:
                there = ", ".join(self) or "nothing"
                raise UsageError(f"checkpoint {self.id} holds no {name!r}; it holds {there}")
        fit = _join([_compare(name, self[name], target) for name, target in objects.items()])
        if strict and not fit.whole:
            raise CheckpointMismatchError(f"checkpoint {self.id} does not fit: {fit}")
        for name, target in objects.items():
            self._load(name, target, fit)
        return fit

    def _load(self, name: str, target: Any, fit: Fit) -> None:
        state = self[name]
        try:
            if _is_module(target):
                apart = {*fit.unexpected, *fit.reshaped}
                fitting = {key: v for key, v in state.items() if f"{name}.{key}" not in apart}
                target.load_state_dict(fitting, strict=False)
            else:
                target.load_state_dict(state)
        except Exception as error:
            raise CheckpointMismatchError(
                f"checkpoint {self.id} does not fit {name!r} ({type(target).__name__}): "
                f"{' '.join(str(error).split())}"
            ) from error


def _is_module(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _compare(name: str, state: Any, target: Any) -> Fit:
    if not _is_module(target):
        return Fit(reshaped={}, retyped={})
    ours = target.state_dict()
    shapes, types = {}, {}
    for key in [key for key in state if key in ours]:
        saved, there = state[key], ours[key]
        if not (hasattr(saved, "shape") and hasattr(there, "shape")):
            continue
        if saved.shape != there.shape:
            shapes[f"{name}.{key}"] = (tuple(saved.shape), tuple(there.shape))
        elif saved.dtype != there.dtype:
            types[f"{name}.{key}"] = (str(saved.dtype), str(there.dtype))
    return Fit(
        missing=tuple(f"{name}.{key}" for key in ours if key not in state),
        unexpected=tuple(f"{name}.{key}" for key in state if key not in ours),
        reshaped=shapes,
        retyped=types,
    )


def _join(fits: list[Fit]) -> Fit:
    return Fit(
        missing=tuple(name for fit in fits for name in fit.missing),
        unexpected=tuple(name for fit in fits for name in fit.unexpected),
        reshaped={name: pair for fit in fits for name, pair in fit.reshaped.items()},
        retyped={name: pair for fit in fits for name, pair in fit.retyped.items()},
    )
