"""What commands print: data as JSON, or as text for people. Nothing else of this package prints."""

from __future__ import annotations

import io
import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sweep.quantity import duration_text as duration_text
from sweep.quantity import text as text

RUNS = Path("runs")
"""The store where none is given."""


def store_option(store: Path) -> str:
    """What a command that a user is told to give needs to name ``store``."""
    return "" if store == RUNS else f" --store {shlex.quote(str(store))}"


class Output:
    """Prints the result of one command, to the standard output."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(highlight=False, markup=False)

    def data(self, value: Any) -> None:
        """One JSON document on one line."""
        sys.stdout.write(json.dumps(jsonable(value), allow_nan=False) + "\n")
        sys.stdout.flush()

    def line(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A plain aligned table; numbers to the right."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, name in enumerate(columns):
            numeric = all(isinstance(row[index], int | float | None) for row in rows)
            table.add_column(
                name,
                justify="right" if numeric and rows else "left",
                no_wrap=True,
                overflow="ellipsis",
            )
        for row in rows:
            table.add_row(*(text(cell) for cell in row))
        if self.console.is_terminal:
            self.console.print(table)
        else:  # into a file or a pipe: as wide as it needs, never folded, nothing behind a row
            wide = Console(highlight=False, markup=False, width=10_000, file=io.StringIO())
            with wide.capture() as captured:
                wide.print(table)
            for row in captured.get().splitlines():
                self.line(row.rstrip())

    def pairs(self, values: Mapping[str, Any]) -> None:
        """One aligned ``name  value`` line for each."""
        width = max(map(len, values), default=0)
        for name, value in values.items():
            self.line(f"{name:<{width}}  {text(value)}")


def error(message: str) -> None:
    """An error, to the standard error."""
    sys.stderr.write(f"sweep: {message}\n")


def jsonable(value: Any) -> Any:
    """``value`` in types of strict JSON: what is not finite becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


def params_text(params: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={text(value)}" for name, value in params.items())
