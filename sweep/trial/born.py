"""Hyperparameters of optimizers and schedules as their constructors got them: "born" values.

``optimizer.load_state_dict`` brings back the learning rate of the trial that was saved, which is
right for a resume and wrong for a fork whose point is another one. A checkpoint therefore holds
what each optimizer and schedule had when it was tracked. Where a fork's own were born with other
values, its checkpoint's state is refitted before it is loaded, number by number:

- born alike: what was saved stays (the fork did not ask for anything else);
- saved as it was born: the fork's value takes its place;
- moved since, by a schedule say: it is scaled by new / old.

So an optimizer without a schedule, and one whose schedule depends on metrics, has its new rate.
Other schedules are taken to their step anew instead of scaled: see `sweep.trial.curve`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any


def born_values(value: Any) -> Any:
    """The hyperparameters of an optimizer or schedule, as plain values; None for other objects."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if isinstance(value, torch.optim.Optimizer):
        return [
            {name: _plain(item) for name, item in group.items() if name != "params"}
            for group in value.param_groups
        ]
    if isinstance(value, torch.optim.lr_scheduler.LRScheduler):
        return _plain(value.state_dict())
    return None


def refitted(state: Any, old: Any, new: Any) -> Any:
    """The saved ``state`` of an object born with ``old``, for one that was born with ``new``.

    ``old`` and ``new`` are what `born_values` gave for each.
    """
    if isinstance(old, list) and isinstance(state, dict) and "param_groups" in state:
        groups = state["param_groups"]
        if len(groups) == len(old) == len(new):
            fitted = [_fit(*three) for three in zip(groups, old, new, strict=True)]
            return {**state, "param_groups": fitted}
        return state  # loading it says what does not fit
    return _fit(state, old, new)


def _fit(saved: Any, old: Any, new: Any) -> Any:
    if isinstance(saved, Mapping) and isinstance(old, Mapping) and isinstance(new, Mapping):
        if old == new:
            return saved
        if type(saved) is not dict:  # a Counter of milestones: it has no parts of its own
            return new if saved == old else saved
        return {
            name: _fit(item, old[name], new[name]) if name in old and name in new else item
            for name, item in saved.items()
        }
    number = _number(saved)
    if number is not None:
        return _fit_number(saved, number, old, new)
    if old == new:
        return saved
    if saved == old:
        return new
    if isinstance(saved, list | tuple) and isinstance(old, list | tuple):
        if isinstance(new, list | tuple) and len(saved) == len(old) == len(new):
            return type(saved)(_fit(*three) for three in zip(saved, old, new, strict=True))
        return saved
    return new if saved is None or isinstance(saved, bool | str) else saved


def _fit_number(saved: Any, number: float, old: Any, new: Any) -> Any:
    if old == new:
        return saved
    wanted = new
    if number != old and _number(old) and _number(new) is not None:
        wanted = number * new / old
        if all(isinstance(value, int) for value in (saved, old, new)):
            wanted = round(wanted)
    if hasattr(saved, "fill_") and _number(wanted) is not None:
        return saved.clone().fill_(wanted)  # a rate that is a tensor, for CUDA graphs
    return wanted


def _number(value: Any) -> float | None:
    """``value`` where it is a number, or a tensor that is one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if hasattr(value, "fill_") and value.numel() == 1:
        return float(value)
    return None


def _plain(value: Any) -> Any:
    """What of ``value`` is numbers, strings and containers of them; other leaves become None."""
    number = _number(value)
    if number is not None:
        return number
    if value is None or isinstance(value, bool | str):
        return value
    if type(value) is dict:
        return {name: _plain(item) for name, item in value.items()}
    if type(value) is Counter:
        return Counter(value)
    if type(value) in (list, tuple):
        return type(value)(_plain(item) for item in value)
    return None
