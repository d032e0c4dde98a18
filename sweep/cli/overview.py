"""`sweep ls`: the studies of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweep.cli.output import Output, params_text
from sweep.driver.glance import glance
from sweep.journal.event import TrialState
from sweep.journal.listing import studies


def list_studies(store: Path, out: Output) -> None:
    """All studies of the store, a line each; a damaged one is named and does not hide the rest."""
    records = [glance(paths) for paths in studies(store)]
    if out.as_json:
        out.data(records)
    elif not records:
        out.line(f"{store}: no studies; `sweep init` writes a first one")
    else:
        columns = ["study", "status", "trials", "metric", "best", "parameters"]
        out.table(columns, [_row(record) for record in records])
        for record in records:
            if record.get("note") is not None:
                out.line(f"{record['study']}: {record['note']}")


def _value(best: dict[str, Any] | None) -> float | None:
    return None if best is None else best["value"]


def _row(record: dict[str, Any]) -> list[Any]:
    best = record.get("best")
    states = record.get("states", {})
    done = sum(count for kind, count in states.items() if TrialState(kind).finished)
    return [
        record["study"],
        "running, waits" if record.get("waits") else record["status"],
        f"{done}/{record['total']}" if "total" in record else "-",
        ", ".join(each["name"] for each in record.get("objectives", [])) or "-",
        f"{len(record['front'])} on the front" if record.get("front") else _value(best),
        record.get("error", "") if best is None else params_text(record["searched"]),
    ]
