"""``constraints:``: bounds that a trial must keep for its result to count."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from sweep.spec.problem import Problem, wrong, wrongs
from sweep.spec.suggestion import brief, plain

_RELATION = re.compile(r"[<>=!\u2264\u2265]+")
_SPELLED = {"<": "<=", "=<": "<=", "\u2264": "<=", ">": ">=", "=>": ">=", "\u2265": ">="}
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_EXAMPLE = "latency_ms <= 20"


@dataclass(frozen=True, slots=True)
class Constraint:
    """``name <= bound`` or, where it is not an ``upper`` one, ``name >= bound``."""

    name: str
    upper: bool
    bound: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read ``latency_ms <= 20``.

        Raises:
            ValueError: it is not a name, ``<=`` or ``>=``, and a finite number; says what to write.
        """
        relations = _RELATION.findall(text)
        if not relations:
            raise ValueError(f"must be a bound such as {_EXAMPLE}, not {brief(text)}")
        if len(relations) > 1:
            raise ValueError(f"has two bounds: write one constraint for each, such as {_EXAMPLE}")
        relation = relations[0]
        name, bound = (part.strip() for part in text.split(relation))
        if relation not in ("<=", ">="):
            meant = _SPELLED.get(relation, "<=")
            raise ValueError(
                f"has {relation}, but must have <= or >=: write {name} {meant} {bound}"
            )
        if _NUMBER.fullmatch(name) and not _NUMBER.fullmatch(bound):
            turned = ">=" if relation == "<=" else "<="
            raise ValueError(f"begins with a number: write {bound} {turned} {name}")
        if not name:
            raise ValueError(f"names nothing: write {_EXAMPLE}")
        if not _NUMBER.fullmatch(bound) or not math.isfinite(float(bound)):
            raise ValueError(f"must end with a finite number, not {brief(bound)}")
        return cls(name, relation == "<=", float(bound))

    def violation(self, value: float) -> float:
        """How much ``value`` exceeds the bound; 0 or less where it keeps it."""
        return value - self.bound if self.upper else self.bound - value

    def __str__(self) -> str:
        bound = int(self.bound) if self.bound.is_integer() else self.bound
        return f"{self.name} {'<=' if self.upper else '>='} {plain(bound)}"


def read_constraints(given: Any) -> Any:
    """The constraints as a list of texts in one spelling."""
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, list | tuple):
        raise wrong(f"must be a list such as [{_EXAMPLE}], not {brief(given)}")
    problems, read = [], list[str]()
    for position, text in enumerate(given):
        try:
            read.append(_spelled(text, read))
        except ValueError as error:
            problems.append(Problem((position,), str(error)))
    if problems:
        raise wrongs(problems)
    return read


def _spelled(text: Any, before: list[str]) -> str:
    if not isinstance(text, str):
        raise ValueError(f"must be a bound such as {_EXAMPLE}, not {brief(text)}")
    spelled = str(Constraint.parse(text))
    if spelled in before:
        raise ValueError(f"{spelled} stands there twice")
    return spelled


_TEXT = {"type": "string", "pattern": r"^[^<>=]+(<=|>=)\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*$"}

Constraints = Annotated[
    tuple[str, ...],
    BeforeValidator(read_constraints),
    WithJsonSchema({"anyOf": [{"type": "array", "items": _TEXT}, _TEXT]}),
]
"""Texts such as ``latency_ms <= 20``, each of which `Constraint.parse` reads."""
