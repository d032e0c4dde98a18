"""Columns of Arrow, as pyarrow itself would make them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.journal.column import column

TIME = pa.timestamp("us", tz="UTC")
INTEGERS = st.integers(-(2**63), 2**63 - 1)
VALUES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), INTEGERS),
    (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    (TIME, st.integers(0, 2**52)),
    (pa.float64(), st.floats()),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(st.characters(exclude_categories=["Cs"]))),
]


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=[str(kind) for kind, _ in VALUES])
@settings(deadline=None)  # pyarrow imports pandas in the first one
@given(data=st.data())
def test_as_pyarrow_makes_it(
    kind: pa.DataType, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    """Every kind of column, with and without nulls, empty too."""
    drawn = data.draw(st.lists(st.none() | values, max_size=40))
    made = column(drawn, kind)
    made.validate(full=True)
    expected = pa.array(drawn, kind, from_pandas=False)
    assert made.type == kind
    assert made.null_count == expected.null_count
    assert repr(made.to_pylist()) == repr(expected.to_pylist())  # NaN and -0.0, too


def test_what_does_not_fit_is_refused() -> None:
    """Nothing is cut off silently."""
    with pytest.raises(OverflowError):
        column([2**63], pa.int64())
    with pytest.raises(OverflowError):
        column([2**15], pa.int16())
    with pytest.raises(UnicodeEncodeError):
        column(["\ud800"], pa.string())


def test_pandas_is_not_loaded() -> None:
    """That is what it is for: a command that writes a journal and tables starts without it."""
    script = (
        "import sys, pyarrow as pa; from sweep.journal.column import column; "
        "pa.Table.from_arrays([column([1, None], pa.int64())], ['x']); "
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
