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
from sweep.spec.termination import (
    AshaPruning,
    HyperbandPruning,
    MedianPruning,
    PatientPruning,
    PercentilePruning,
    Termination,
)
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
"""Parts of a spec that a study does not change unasked: its trials might not belong together."""

LASTING = ("metric", "constraints", "deterministic", "window")
"""Those of them that it cannot change at all: what its trials have come to would mean something
else then, or would not follow from their numbers."""


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

    @property
    def texts(self) -> tuple[str, str, str]:
        """Path, old and new, as people read them."""
        return self.path, _shown(self.old), _shown(self.new)

    def __str__(self) -> str:
        path, old, new = self.texts
        return f"{path}: {old} -> {new}"


def difference(old: StudySpec, new: StudySpec) -> list[Change]:
    """What is not the same in two specs, in the order of the old one."""
    return list(_changes("", _comparable(old), _comparable(new)))


def refused(changes: Sequence[Change]) -> list[Change]:
    """Those that somebody must accept; all others may be made while the study lives."""
    return [change for change in changes if change.path.split(".")[0] in FALSIFYING]


def lasting(changes: Sequence[Change]) -> list[Change]:
    """Those that are refused also where the user accepts that the study changes."""
    return [change for change in changes if change.path.split(".")[0] in LASTING]


def successor(old: StudySpec, new: StudySpec) -> StudySpec:
    """The new spec with the parameters of the old one, in its order, for a study that goes on.

    Raises:
        ValueError: the difference is one that somebody must accept.
    """
    problems = refused(difference(old, new))
    if problems:
        raise ValueError("; ".join(map(str, problems)))
    return new.model_copy(update={"parameters": old.parameters})


def inheriting(old: StudySpec, new: StudySpec) -> StudySpec:
    """The new spec, in which a study goes on as it did where that is not written: the defaults
    are for studies that begin.

    So are ``mode`` at rungs and ``min_trials``, and what the sampler is told of failures.
    """
    unwritten = {"on_failure", "on_nan"} - new.model_fields_set
    new = new.model_copy(update={name: getattr(old, name) for name in unwritten})
    was, now = old.early_terminate, new.early_terminate
    updated = _inheriting(was, now)
    return new if updated is now else new.model_copy(update={"early_terminate": updated})


def _inheriting(was: Termination, now: Termination) -> Termination:
    if was is None or now is None or type(was) is not type(now):
        return now
    kept: dict[str, Any] = {}
    match was, now:
        case (
            (MedianPruning() | PercentilePruning()) as before,
            (MedianPruning() | PercentilePruning()) as after,
        ):
            if "min_trials" not in after.model_fields_set:
                kept["min_trials"] = before.min_trials
        case (AshaPruning() | HyperbandPruning()) as before, (
            AshaPruning() | HyperbandPruning()
        ) as after:
            # Another max_resource is a spelling of its own, for one mode maybe.
            alike = before.max_resource == after.max_resource
            if "mode" not in after.model_fields_set and alike:
                kept["mode"] = before.mode
        case PatientPruning(), PatientPruning():
            then = _inheriting(was.then, now.then)
            if then is not now.then:
                kept["then"] = then
        case _:
            pass
    return now.model_copy(update=kept) if kept else now


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
