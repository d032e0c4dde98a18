"""The type of a parameter's values, as its domain declares it: what a column of them holds."""

from __future__ import annotations

from sweep.spec.domain import (
    Beta,
    Categorical,
    Constant,
    Continuous,
    Domain,
    Normal,
    Quantized,
    Stepped,
    Weighted,
    Whole,
)
from sweep.spec.model import StudySpec

Kind = type[bool] | type[int] | type[float] | type[str]


def kind_of(domain: Domain) -> Kind | None:
    """The type that all values of ``domain`` have; None where they have several, or another.

    Integers beside floats are floats.
    """
    match domain:
        case Whole():
            return int
        case Continuous() | Stepped() | Normal() | Beta():
            return float
        case Quantized(q=q):
            return int if isinstance(q, int) else float
        case Constant() | Categorical() | Weighted():
            kinds = {type(value) for value in domain.values or ()}
            if kinds == {int, float}:
                return float
            return next((kind for kind in (bool, int, float, str) if kinds == {kind}), None)
        case _:
            return None


def kinds_of(spec: StudySpec) -> dict[str, Kind | None]:
    """The types of all parameters of ``spec``, in the order of its space.

    A space function declares none before it is called.
    """
    if spec.space_function is not None:
        return {}
    return {each.name: kind_of(each.domain) for each in spec.space.dimensions}
