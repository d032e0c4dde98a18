"""`sweep ls`: the studies of the store.

What a driver has left of a study is enough where it is of the newest event: so a store of a hundred
studies is listed without reading their journals, and without what that needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweep.cli.output import Output, params_text
from sweep.errors import SweepError
from sweep.journal.event import TrialState
from sweep.journal.listing import looks_whole, newest_event, studies
from sweep.journal.lock import holder
from sweep.journal.summary import read_summary
from sweep.paths import StudyPaths


def list_studies(store: Path, out: Output) -> None:
    """All studies of the store, a line each; a damaged one is named and does not hide the rest."""
    records = [study_record(paths) for paths in studies(store)]
    if out.as_json:
        out.data(records)
    elif not records:
        out.line(f"{store}: no studies; `sweep init` writes a first one")
    else:
        columns = ["study", "status", "trials", "metric", "best", "parameters"]
        out.table(columns, [_row(record) for record in records])


def study_record(paths: StudyPaths) -> dict[str, Any]:
    """A study as `sweep ls` says it; a damaged one says of itself why."""
    if not paths.begun():
        return {"study": paths.name, "status": "not begun"}
    try:
        known = _kept(paths) or _made(paths)
    except SweepError as error:
        return {"study": paths.name, "status": "damaged", "error": str(error)}
    running = {"status": "running"} if holder(paths.lock) is not None else {}
    return known | {"study": paths.name, "path": str(paths.root)} | running


def _kept(paths: StudyPaths) -> dict[str, Any] | None:
    if not looks_whole(paths.journal):
        return None
    return read_summary(newest_event(paths.journal), paths.tables)


def _made(paths: StudyPaths) -> dict[str, Any]:
    from sweep.cli.place import read_study  # start-up: see above
    from sweep.driver.summary import summary

    return summary(*read_study(paths))


def _value(best: dict[str, Any] | None) -> float | None:
    return None if best is None else best["value"]


def _row(record: dict[str, Any]) -> list[Any]:
    best = record.get("best")
    states = record.get("states", {})
    done = sum(count for kind, count in states.items() if TrialState(kind).finished)
    return [
        record["study"],
        record["status"],
        f"{done}/{record['total']}" if "total" in record else "-",
        ", ".join(each["name"] for each in record.get("objectives", [])) or "-",
        f"{len(record['front'])} on the front" if record.get("front") else _value(best),
        record.get("error", "") if best is None else params_text(record["searched"]),
    ]
