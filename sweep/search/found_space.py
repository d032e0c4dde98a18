"""A space that is found in trials of another program, which has kept none: names and conditions.

A parameter that not all trials have is taken to depend on a choice, or on bounds of a whole number,
where that tells the trials that have it from all others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweep.spec.rule import wrong_name
from sweep.spec.value import identity

_COUNTED = 1000
"""Conditions are not sought on whole numbers that have more values."""

_Trials = Sequence[Mapping[str, Any]]
"""The params of each, by the names that they have there."""


@dataclass(slots=True)
class FoundSpace:
    """``parameters`` as in a spec, by the name that they have here. ``names`` has those by the
    names that they have there, ``notes`` what is not as it was there."""

    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add_name(self, there: str, plain: str | None = None) -> str:
        """The name of ``there`` here: ``plain``, unless that cannot be one, or is taken."""
        plain = there if plain is None else plain
        here = self.names[there] = _usable(plain, self.names.values())
        if here != plain:
            self.notes.append(f"{there!r} is called {here} here")
        return here

    def add_conditions(self, trials: _Trials) -> None:
        """Give parameters that not all ``trials`` have a ``when``, where something explains it."""
        for there, here in self.names.items():
            when = _condition(there, self, trials)
            if when:
                self.parameters[here]["when"] = when


def _usable(name: str, taken: Collection[str]) -> str:
    """A name that a parameter can have here, and none has."""
    plain = re.sub(r"[^\w.-]+", "_", name)
    plain = plain if wrong_name(plain) is None else f"p_{plain}"
    names, count = [plain], 1
    while names[-1] in taken:
        count += 1
        names.append(f"{plain}_{count}")
    return names[-1]


def _condition(name: str, found: FoundSpace, trials: _Trials) -> dict[str, list[Any]]:
    """What tells the trials that have ``name`` from those that have not."""
    having = [trial for trial in trials if name in trial]
    if len(having) == len(trials):
        return {}
    choices = [other for other in found.names if "values" in found.parameters[found.names[other]]]
    numbers = [other for other in found.names if other not in choices]
    for other in (*choices, *numbers):
        lacking = [trial for trial in trials if other in trial and name not in trial]
        # The other one is there where this one is, and elsewhere: so conditions make no circle.
        if not lacking or not all(other in trial for trial in having):
            continue
        parameter = found.parameters[found.names[other]]
        values = _telling(
            parameter, [trial[other] for trial in having], [trial[other] for trial in lacking]
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
    if not parameter.get("distribution", "").startswith("int_"):
        return []
    members = range(parameter["min"], parameter["max"] + 1, parameter.get("step", 1))
    if len(members) > _COUNTED:
        return []
    if min(having) > max(lacking):
        return [value for value in members if value >= min(having)]
    if max(having) < min(lacking):
        return [value for value in members if value <= max(having)]
    return []
