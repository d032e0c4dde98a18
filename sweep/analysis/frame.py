"""The tables of a study as pandas DataFrames, in types that do not depend on what is in them.

Whole numbers that may be missing are pandas' ``Int64``, yes or no that may be missing ``boolean``;
else a missing one would make floats of all others. States, kinds and the texts of a choice are
categoricals, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sweep.checkpoint.record import Content, Kind
from sweep.journal.attempt import End
from sweep.journal.event import TrialState
from sweep.quantity import printable
from sweep.spec import StudySpec
from sweep.spec.domain import Categorical, Weighted
from sweep.spec.kind import kind_of

if TYPE_CHECKING:
    import pandas as pd

_ALWAYS = {"number", "trial", "attempt", "attempts", "session", "steps", "lost", "iteration"}
_ALWAYS |= {"best_kept"}
"""Whole numbers, yes and no that are never missing; in the reports ``step``, too."""

_CATEGORIES: Mapping[str, Sequence[str]] = {
    "state": [str(each) for each in TrialState],
    "end": [str(each) for each in End],
    "kind": [str(each) for each in Kind],
    "content": [str(each) for each in Content],
}


def frame_of(table: pa.Table, spec: StudySpec | None = None) -> pd.DataFrame:
    """A table as `sweep.journal.table` makes it; of the trials, that of a study with ``spec``."""
    import pandas as pd  # start-up: it takes a third of a second

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    never = _ALWAYS | ({"step"} if "time" in frame else set())
    dimensions = () if spec is None or spec.space_function is not None else spec.space.dimensions
    # A parameter without a condition is missing only in trials from before it was added.
    never |= {f"params.{each.name}" for each in dimensions if not each.when}
    categories = dict(_CATEGORIES)
    categories |= {
        f"params.{each.name}": list(dict.fromkeys(map(printable, each.domain.values or ())))
        for each in dimensions
        if isinstance(each.domain, Categorical | Weighted) and kind_of(each.domain) is str
    }
    types: dict[str, Any] = {}
    for name in map(str, frame):
        column = frame[name]
        if name in categories:
            types[name] = pd.CategoricalDtype(_all(column, categories[name]))
        elif name in never and column.dtype.name in _PLAIN and not column.isna().any():
            types[name] = _PLAIN[column.dtype.name]
    return frame.astype(types)


_PLAIN = {"Int64": "int64", "boolean": "bool"}


def _all(column: pd.Series, known: Sequence[str]) -> list[str]:
    """The ``known`` texts and those that are in trials from before a change of the space."""
    return [*known, *sorted(set(column.dropna().unique()) - set(known))]
