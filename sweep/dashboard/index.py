"""The list of a store's studies, from which the dashboard and the report of each are opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sweep.journal.event import TrialState
from sweep.quantity import counted, text
from sweep.report.chart import table
from sweep.report.element import Markup, element, join
from sweep.report.page import document, moment

Record = dict[str, Any]

COLUMNS = ("study", "status", "trials", "pruned", "failed", "metric", "best", "open")


def report_link(name: str) -> str:
    """Where the report of a study is; its directory's name may be any bytes."""
    return f"/report/{quote(os.fsencode(name), safe='')}"


def dashboard_link(study_id: int) -> str:
    """Where the dashboard shows a study."""
    return f"/dashboard/studies/{study_id}"


def index(store: Path, records: Sequence[Record], id_of: Callable[[str], int | None]) -> str:
    """The page. ``records`` are as `sweep.driver.glance.glance` gives them."""
    running = sum(record["status"] == "running" for record in records)
    caption = f"{counted(len(records), 'study', 'studies')}, {running} running"
    rows = [_row(record, id_of(record["study"])) for record in records]
    content = [
        element("h1", store.name),
        element("p", str(store), class_="note"),
        table(caption, COLUMNS, rows, sortable=True)
        if rows
        else element("p", "No study yet: what `sweep run` begins here appears in this list."),
    ]
    return document(f"{store.name} - sweep", f"sweep dashboard, {moment()}", content)


def _row(record: Record, study_id: int | None) -> list[Any]:
    states = record.get("states", {})
    done = sum(count for kind, count in states.items() if TrialState(kind).finished)
    total = f"{done}/{record['total']}" if "total" in record else "-"
    return [
        record["study"],
        element("span", record["status"], data_tip=record.get("error")),
        (total, done),
        *((text(count), count) for count in (states.get("PRUNED", 0), states.get("FAILED", 0))),
        ", ".join(each["name"] for each in record.get("objectives", [])) or "-",
        _best(record),
        _links(record, study_id),
    ]


def _best(record: Record) -> Any:
    if record.get("front"):
        return f"{len(record['front'])} on the front"
    best = record.get("best")
    return "-" if best is None else (text(best["value"]), best["value"])


def _links(record: Record, study_id: int | None) -> Markup:
    name, found = record["study"], []
    if study_id is not None:
        found.append(element("a", "dashboard", href=dashboard_link(study_id)))
    if "path" in record:
        found.append(element("a", "report", href=report_link(name)))
    return join(found or [record.get("error", "")], between=" · ")
