"""Arrow columns of Python values, without pandas.

`pyarrow.array` imports pandas when it is first called, which takes as long as all else that a short
command does. The layout is Arrow's columnar format: a bitmap of what is there, and the values; for
texts their offsets and their bytes, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sweep.quantity import printable


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """``values`` as an array of ``kind``: integers, times (as integers), floats, booleans or texts.

    None is null there.

    Raises:
        OverflowError: an integer is too large for ``kind``, or texts are 2 GiB together.
        UnicodeEncodeError: a text is not Unicode (half of a surrogate pair).
    """
    there = np.fromiter((value is not None for value in values), bool, len(values))
    bitmap = None if there.all() else _bits(there)
    if pa.types.is_string(kind):
        return _texts(values, bitmap)
    filled = [0 if value is None else value for value in values]
    if pa.types.is_boolean(kind):
        content = _bits(np.array(filled, bool))
    else:
        content = pa.py_buffer(np.array(filled, _number(kind)).tobytes())
    return pa.Array.from_buffers(kind, len(values), [bitmap, content])


def integers(values: Iterable[int | None]) -> pa.Array:
    """``values`` as an array of int64."""
    return column(list(values), pa.int64())


def floats(values: Iterable[float | None]) -> pa.Array:
    """``values`` as an array of float64."""
    return column(list(values), pa.float64())


def texts(values: Iterable[str | None]) -> pa.Array:
    """``values`` as an array of texts, as they can be printed."""
    return column([None if value is None else printable(value) for value in values], pa.string())


def times(values: Iterable[float | None]) -> pa.Array:
    """Unix seconds as an array of times in UTC, in microseconds."""
    micros = [None if value is None else round(value * 1e6) for value in values]
    return column(micros, pa.timestamp("us", tz="UTC"))


def whole_numbers(values: pa.Array) -> np.ndarray[Any, Any]:
    """An array of int64 without nulls as NumPy has it: ``to_numpy`` would import pandas, too."""
    found = np.frombuffer(values.buffers()[1] or b"", np.int64)
    return found[values.offset : values.offset + len(values)]


def names_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """All keys of ``rows``, in the order in which they come up."""
    return list(dict.fromkeys(name for row in rows for name in row))


def metric_columns(rows: Sequence[Mapping[str, float]]) -> dict[str, pa.Array]:
    """A column ``metrics.NAME`` for each metric that any of ``rows`` has."""
    return {
        f"metrics.{printable(name)}": floats(row.get(name) for row in rows)
        for name in names_of(rows)
    }


def _texts(values: Sequence[str | None], bitmap: pa.Buffer | None) -> pa.Array:
    encoded = [b"" if value is None else value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)])
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"{ends[-1]} bytes of text are too many for one column")
    offsets = pa.py_buffer(ends.astype(np.int32).tobytes())
    content = pa.py_buffer(b"".join(encoded))
    return pa.Array.from_buffers(pa.string(), len(values), [bitmap, offsets, content])


def _bits(flags: np.ndarray[Any, Any]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little").tobytes())


def _number(kind: pa.DataType) -> str:
    return f"{'f' if pa.types.is_floating(kind) else 'i'}{kind.bit_width // 8}"
