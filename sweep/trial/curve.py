"""Learning-rate schedules of a fork: taken anew to their step, where they are built otherwise.

A schedule is a function of what it was built from and of how often it was stepped. So where a fork
builds it from other values, its fresh schedule is stepped as often as the parent's was, from what
the fork's optimizer was built with. The rates are those of a run that had the new values from the
start. What depends on more than steps (`ReduceLROnPlateau`) keeps its state; see `born.refitted`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from types import FunctionType
from typing import Any

RATE = ("lr", "initial_lr")
RATES = (
    "lr",
    "momentum",
    "betas",
    "initial_lr",
    "max_lr",
    "min_lr",
    "base_momentum",
    "max_momentum",
)
"""What schedules set in the groups of an optimizer."""

_PROGRESS = frozenset({"_last_lr", "_step_count", "last_epoch", "base_lrs", "T_cur"})
"""What of a schedule's state says how far it is, or which rate its optimizer has."""


def is_schedule(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.optim.lr_scheduler.LRScheduler)


def depends_on_metrics(value: Any) -> bool:
    """Whether the steps of a schedule are given more than their number."""
    torch = sys.modules["torch"]
    return isinstance(value, torch.optim.lr_scheduler.ReduceLROnPlateau)


def is_opaque(schedule: Any) -> bool:
    """Whether it computes with functions, of which nobody can tell what they were built from."""
    held = [*getattr(schedule, "lr_lambdas", []), getattr(schedule, "_scale_fn_custom", None)]
    return any(each is not None and not _says_all(each) for each in held) or any(
        map(is_opaque, getattr(schedule, "_schedulers", []))
    )


def _says_all(function: Any) -> bool:
    """Whether it is an object with attributes, which a state holds; no function, nor a partial."""
    return not isinstance(function, FunctionType) and bool(getattr(function, "__dict__", None))


def built_alike(old: Any, new: Any) -> bool:
    """Whether two schedules, by what `born_values` gave, were built with the same numbers, apart
    from the rates of their optimizers."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = (old.keys() | new.keys()) - _PROGRESS
        return all(built_alike(old.get(name), new.get(name)) for name in names)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return all(map(built_alike, old, new))
    return bool(old == new)


def steps_of(state: Any) -> float:
    """How often a schedule of this state was stepped; a fraction where it was given one."""
    if "last_epoch" not in state:  # a ChainedScheduler
        return max(steps_of(each) for each in state["_schedulers"])
    steps = state["last_epoch"]
    if "T_cur" in state:
        return float(steps + state["T_cur"] % 1)
    return float(steps)


def take_to(schedule: Any, steps: float, born: Any) -> list[dict[str, Any]]:
    """Step a fresh ``schedule`` and return what it sets in each group of its optimizer.

    ``born`` is what the optimizer's groups were built with, from `born_values`.
    """
    optimizer = schedule.optimizer
    for group, fresh in zip(optimizer.param_groups, born, strict=True):
        put(group, {name: fresh[name] for name in RATES if fresh.get(name) is not None})
    called = getattr(optimizer, "_opt_called", False)
    optimizer._opt_called = True  # or torch warns of a schedule without a step of the optimizer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(int(steps)):
            schedule.step()
        if steps % 1:
            schedule.step(steps)
    optimizer._opt_called = called
    return rates(optimizer.param_groups, RATES if _cycles_momentum(schedule) else RATE)


def _cycles_momentum(schedule: Any) -> bool:
    inner = getattr(schedule, "_schedulers", [])
    return bool(getattr(schedule, "cycle_momentum", False)) or any(map(_cycles_momentum, inner))


def rates(groups: Any, names: tuple[str, ...] = RATES) -> list[dict[str, Any]]:
    """What a schedule may have set in each of an optimizer's groups; tensors are copied."""
    return [{name: _copied(group[name]) for name in names if name in group} for group in groups]


def put(group: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Set values of a group; a rate that is a tensor, for CUDA graphs, stays the same tensor."""
    for name, value in values.items():
        if hasattr(group.get(name), "fill_"):
            group[name].fill_(value)
        else:
            group[name] = _copied(value)


def _copied(value: Any) -> Any:
    return value.clone() if hasattr(value, "fill_") else value
