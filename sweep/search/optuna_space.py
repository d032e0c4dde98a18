"""The space that a study of Optuna's was searched in, as parameters of a spec.

Optuna keeps a distribution with each value, and no space: it is the union of what trials were drawn
from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from sweep.search.found_space import FoundSpace
from sweep.spec.domain import multiple
from sweep.spec.value import identity


def space_found(trials: Sequence[FrozenTrial]) -> FoundSpace:
    """The space of ``trials``.

    Raises:
        ValueError: a choice that JSON does not know.
    """
    found = FoundSpace()
    drawn: dict[str, list[BaseDistribution]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            known = drawn.setdefault(name, [])
            if distribution not in known:
                known.append(distribution)
    for name, known in drawn.items():
        here = found.add_name(name)
        seen = [trial.params[name] for trial in trials if name in trial.params]
        found.parameters[here] = _parameter(here, known, seen, found.notes)
    found.add_conditions([trial.params for trial in trials])
    return found


def params_found(space: FoundSpace, trial: FrozenTrial) -> dict[str, Any]:
    """Those of ``trial``, as the space has them: ``0.3`` for ``0.30000000000000004``."""
    return {
        here: _value(space.parameters[here], trial.params[there])
        for there, here in space.names.items()
        if there in trial.params
    }


def _value(parameter: Mapping[str, Any], value: Any) -> Any:
    if "q" in parameter:
        return multiple(round(value / parameter["q"]), parameter["q"])
    whole = parameter.get("distribution", "").startswith("int_")
    return int(value) if whole else value


def _parameter(
    name: str, known: Sequence[BaseDistribution], seen: Sequence[Any], notes: list[str]
) -> dict[str, Any]:
    if all(isinstance(each, IntDistribution) for each in known):
        return _whole([each for each in known if isinstance(each, IntDistribution)])
    if all(isinstance(each, FloatDistribution) for each in known):
        reals = [each for each in known if isinstance(each, FloatDistribution)]
        return _real(name, reals, notes)
    choices = [
        choice
        for each in known
        for choice in (each.choices if isinstance(each, CategoricalDistribution) else ())
    ]
    members = {identity(value): value for value in [*choices, *seen]}
    return {"values": list(members.values())}


def _whole(known: Sequence[IntDistribution]) -> dict[str, Any]:
    low, high = min(each.low for each in known), max(each.high for each in known)
    if all(each.log for each in known):
        return {"distribution": "int_log_uniform_values", "min": low, "max": high}
    step = {"step": known[0].step} if len(known) == 1 and known[0].step != 1 else {}
    return {"distribution": "int_uniform", "min": low, "max": high, **step}


def _real(name: str, known: Sequence[FloatDistribution], notes: list[str]) -> dict[str, Any]:
    low, high = min(each.low for each in known), max(each.high for each in known)
    if all(each.log for each in known):
        return {"distribution": "log_uniform_values", "min": low, "max": high}
    steps = {each.step for each in known}
    step = steps.pop() if len(steps) == 1 else None
    if step is not None and all(_is_multiple(each.low, step) for each in known):
        return {"distribution": "q_uniform", "min": low, "max": high, "q": step}
    if step is not None:
        notes.append(f"{name}: steps of {step} from {low} are left out: they are no multiples")
    return {"distribution": "uniform", "min": low, "max": high}


def _is_multiple(number: float, step: float) -> bool:
    return Decimal(repr(number)) % Decimal(repr(step)) == 0
