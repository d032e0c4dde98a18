"""The lines of docs/tables.md that open a table, as they stand there: in pandas, Polars, DuckDB."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PROGRAMS, Project
from test_tables_page import NAMES, PAGE, documented

LINES = re.findall(r"^(.*'runs/digits/tables/trials\.parquet'.*|pd\..*|pl\..*)$",
                   PAGE.read_text(), re.MULTILINE)  # fmt: skip

PLAIN = {
    pa.int64(): (pl.Int64(), "BIGINT"),
    pa.float64(): (pl.Float64(), "DOUBLE"),
    pa.bool_(): (pl.Boolean(), "BOOLEAN"),
    pa.string(): (pl.String(), "VARCHAR"),
    pa.timestamp("us", tz="UTC"): (pl.Datetime("us", "UTC"), "TIMESTAMP WITH TIME ZONE"),
}
"""What a type of the files is called in Polars, and in DuckDB."""

DOCUMENTED = {
    "int64": pa.int64(),
    "Int64": pa.int64(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
    "category": pa.string(),
    "str": pa.string(),
    "datetime64[us, UTC]": pa.timestamp("us", tz="UTC"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the study ``digits``: checkpoints, a failure, and conditional parameters."""
    project = Project(tmp_path_factory.mktemp("readers"))
    (project.root / "exact.py").write_bytes((PROGRAMS / "exact.py").read_bytes())
    parameters = {
        "width": {"value": 4},
        "epochs": {"value": 2},
        "lr": {"min": 0.01, "max": 0.1},
        "kind": {"values": ["a", "b"]},
        "depth": {"min": 1, "max": 3, "when": {"kind": "b"}},
        "flag": {"values": [True, False]},
    }
    enqueue = [{"kind": "a"}, {"kind": "b"}]
    spec = project.spec("digits", program="exact:train", parameters=parameters, enqueue=enqueue)
    assert project.call("run", "--inline", spec).returncode == 0
    return project.root


def opened(reader: str, name: str) -> Any:
    """What the line of ``reader`` on the page gives, for the table ``name``."""
    (line,) = [each for each in LINES if each.startswith(reader)]
    known = {"pd": pd, "pl": pl, "duckdb": duckdb}
    return eval(line.replace("trials.parquet", f"{name}.parquet"), known)  # the page is tested


@pytest.mark.parametrize("name", NAMES)
def test_types_are_as_documented(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the file; and each reader makes of them its own, texts and missing values too."""
    monkeypatch.chdir(root)
    schema = pq.read_schema(root / "runs" / "digits" / "tables" / f"{name}.parquet")
    rows = documented()[name]
    for field in schema:
        group = f"{field.name.partition('.')[0]}.*"
        row = rows[group if group in rows else field.name]
        assert row not in DOCUMENTED or field.type == DOCUMENTED[row], field.name
    polars = {field.name: PLAIN[field.type][0] for field in schema}
    assert dict(opened("pl", name).schema) == polars
    found = opened("duckdb", name)
    assert [str(kind) for kind in found.types] == [PLAIN[field.type][1] for field in schema]
    assert found.columns == schema.names


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_the_same(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All three read the same values, in the same order."""
    monkeypatch.chdir(root)
    expected = pq.read_table(root / "runs" / "digits" / "tables" / f"{name}.parquet")
    assert len(expected) > 0
    plain = expected.replace_schema_metadata(None)
    frame = opened("pd", name)
    pd.testing.assert_frame_equal(frame, plain.to_pandas())
    assert opened("pl", name).rows() == [tuple(row.values()) for row in plain.to_pylist()]
    times = [field.name for field in plain.schema if pa.types.is_timestamp(field.type)]
    untimed = plain.drop_columns(times)
    rows = opened("duckdb", name).project(
        ", ".join(f'"{column}"' for column in untimed.column_names)
    )
    assert rows.fetchall() == [tuple(row.values()) for row in untimed.to_pylist()]
    for column in times:
        micros = opened("duckdb", name).project(f'epoch_us("{column}")').fetchall()
        assert [value for (value,) in micros] == plain[column].cast(pa.int64()).to_pylist()


def test_the_page_has_a_line_for_each() -> None:
    """pandas, Polars, DuckDB."""
    assert [line.partition(".")[0] for line in LINES] == ["pd", "pl", "duckdb"]
