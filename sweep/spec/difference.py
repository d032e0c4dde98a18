"""What differs between the spec a study was made with and another, and what of it is refused.

Meaning is compared, not spelling: ``run_cap`` and ``trials``, ``bayes`` and ``tpe``, an inferred
and a written ``distribution``, ``30m`` and 1800 are the same. So is the order of parameters and of
the values in a condition; to go on with the order of the accepted spec, which decides the order of
a grid and of what a sampler is asked, use `successor`. The order of ``values`` does count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sweep.spec.model import StudySpec
from sweep.spec.suggestion import plain
from sweep.spec.termination import AshaPruning, HyperbandPruning
from sweep.spec.value import identity

FALSIFYING = (
    "parameters",
    "space",
    "metric",
    "constraints",
    "method",
    "seed",
    "deterministic",
    "window",
)
"""Parts of a spec that a study cannot change: its trials would not belong together."""


class Absent(Enum):
    """Stands for what is not there; None is a value that YAML has."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: ``old`` is in the accepted spec, ``new`` in the other."""

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.path}: {_shown(self.old)} -> {_shown(self.new)}"


def difference(old: StudySpec, new: StudySpec) -> list[Change]:
    """What is not the same in two specs, in the order of the old one."""
    return list(_changes("", _comparable(old), _comparable(new)))


def refused(changes: Sequence[Change]) -> list[Change]:
    """Those that would falsify the study; all others may be made while it lives."""
    return [change for change in changes if change.path.split(".")[0] in FALSIFYING]


def successor(old: StudySpec, new: StudySpec) -> StudySpec:
    """The new spec with the parameters of the old one, in its order, for a study that goes on.

    Raises:
        ValueError: the difference is one that is refused.
    """
    problems = refused(difference(old, new))
    if problems:
        raise ValueError("; ".join(map(str, problems)))
    return new.model_copy(update={"parameters": old.parameters})


def inheriting(old: StudySpec, new: StudySpec) -> StudySpec:
    """The new spec, in which a study goes on to pause or to stop its trials at rungs as it did,
    unless ``mode`` is written: its default is for studies that begin."""
    was, now = old.early_terminate, new.early_terminate
    if (
        not isinstance(was, AshaPruning | HyperbandPruning)
        or not isinstance(now, AshaPruning | HyperbandPruning)
        or type(was) is not type(now)
        or "mode" in now.model_fields_set
        or was.max_resource != now.max_resource  # a spelling of its own, for one mode maybe
    ):
        return new
    return new.model_copy(update={"early_terminate": now.model_copy(update={"mode": was.mode})})


def _shown(value: Any) -> str:
    return "absent" if value is ABSENT else plain(value)


def _comparable(spec: StudySpec) -> dict[str, Any]:
    described = spec.model_dump(mode="json")
    for name, parameter in spec.parameters.items():
        if parameter.when:
            described["parameters"][name]["when"] = {
                parent: sorted(values, key=lambda value: repr(identity(value)))
                for parent, values in parameter.when.items()
            }
    return described


def _changes(path: str, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping) and _comparable_keys(old, new):
        for key in {**old, **new}:
            inner = f"{path}.{key}" if path else str(key)
            yield from _changes(inner, old.get(key, ABSENT), new.get(key, ABSENT))
    elif old is ABSENT or new is ABSENT or identity(old) != identity(new):
        yield Change(path, old, new)


def _comparable_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """False for kinds of early termination that have no key but ``type`` in common."""
    return old.get("type") == new.get("type")
