"""The space that a study of Optuna's was searched in, as parameters of a spec.

Optuna keeps a distribution with each value, and no space: it is the union of what trials were drawn
from. Nor does it keep conditions. A parameter that not all trials have is taken to depend on a
choice, or on bounds of a whole number, where that tells the trials that have it from all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from sweep.spec.domain import multiple
from sweep.spec.rule import wrong_name
from sweep.spec.value import identity

_COUNTED = 1000
"""Conditions are not sought on whole numbers that have more values."""


@dataclass(slots=True)
class FoundSpace:
    """``parameters`` as in a spec, by the name that they have here. ``names`` has those of
    Optuna's, ``notes`` what is not as it was there."""

    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def params(self, trial: FrozenTrial) -> dict[str, Any]:
        """Those of a trial, as the space has them: ``0.3`` for ``0.30000000000000004``."""
        return {
            here: self._value(self.parameters[here], trial.params[there])
            for there, here in self.names.items()
            if there in trial.params
        }

    def _value(self, parameter: Mapping[str, Any], value: Any) -> Any:
        if "q" in parameter:
            return multiple(round(value / parameter["q"]), parameter["q"])
        whole = parameter.get("distribution", "").startswith("int_")
        return int(value) if whole else value


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
        here = found.names[name] = _usable(name, found.names.values())
        if here != name:
            found.notes.append(f"{name!r} is called {here} here")
        seen = [trial.params[name] for trial in trials if name in trial.params]
        found.parameters[here] = _parameter(here, known, seen, found.notes)
    for name, here in found.names.items():
        when = _condition(name, found, trials)
        if when:
            found.parameters[here]["when"] = when
    return found


def _usable(name: str, taken: Iterator[str] | Any) -> str:
    """A name that a parameter can have here, and none has."""
    plain = re.sub(r"[^\w.-]+", "_", name)
    plain = plain if wrong_name(plain) is None else f"p_{plain}"
    names, count = [plain], 1
    while names[-1] in taken:
        count += 1
        names.append(f"{plain}_{count}")
    return names[-1]


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


def _condition(name: str, found: FoundSpace, trials: Sequence[FrozenTrial]) -> dict[str, list[Any]]:
    """What tells the trials that have ``name`` from those that have not."""
    having = [trial for trial in trials if name in trial.params]
    if len(having) == len(trials):
        return {}
    choices = [other for other in found.names if "values" in found.parameters[found.names[other]]]
    numbers = [other for other in found.names if other not in choices]
    for other in (*choices, *numbers):
        lacking = [t for t in trials if other in t.params and name not in t.params]
        # The other one is there where this one is, and elsewhere: so conditions make no circle.
        if not lacking or not all(other in trial.params for trial in having):
            continue
        parameter = found.parameters[found.names[other]]
        values = _telling(
            parameter, [t.params[other] for t in having], [t.params[other] for t in lacking]
        )
        if values:
            return {found.names[other]: values}
    return {}


def _telling(
    parameter: Mapping[str, Any], having: Sequence[Any], lacking: Sequence[Any]
) -> list[Any]:
    """The values of a parameter with which another one is there, if they say so at all."""
    if "values" in parameter:
        wanted, others = set(map(identity, having)), set(map(identity, lacking))
        if wanted & others:
            return []
        return [value for value in parameter["values"] if identity(value) in wanted]
    if not parameter["distribution"].startswith("int_"):
        return []
    members = range(parameter["min"], parameter["max"] + 1, parameter.get("step", 1))
    if len(members) > _COUNTED:
        return []
    if min(having) > max(lacking):
        return [value for value in members if value >= min(having)]
    if max(having) < min(lacking):
        return [value for value in members if value <= max(having)]
    return []
