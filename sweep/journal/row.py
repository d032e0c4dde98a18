"""An event as a row of the journal, and back.

Fields that one filters on are columns; the others travel in the column ``data`` as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sweep.errors import JournalError, JournalVersionError
from sweep.journal.event import EVENTS, Cause, Entry, SpecChanged, StudyCreated, TrialState

COLUMNS = ("trial", "attempt", "step", "state", "value", "checkpoint")
"""Fields of events that are columns of their own."""

_FIELDS = {name: tuple(f.name for f in fields(kind)) for name, kind in EVENTS.items()}
_PAYLOAD = {
    name: tuple(field for field in names if field not in COLUMNS) for name, names in _FIELDS.items()
}
_KNOWN = {name: frozenset(names) for name, names in _PAYLOAD.items()}
_CELLS = {
    name: tuple((place, field) for place, field in enumerate(COLUMNS) if field in names)
    for name, names in _FIELDS.items()
}
_HEAD = ("seq", "time", "type", "version")

DECODED = (*_HEAD, *COLUMNS, "data")
"""The columns of a journal that hold its entries; times are unix microseconds there."""


def encode(entry: Entry) -> dict[str, Any]:
    """The row of the journal that holds ``entry``: one value for each column."""
    event = entry.event
    row: dict[str, Any] = {name: getattr(event, name, None) for name in COLUMNS}
    row |= {"seq": entry.seq, "time": round(entry.time * 1e6)}
    row |= {"type": event.type, "version": event.version}
    row["data"] = json.dumps({name: getattr(event, name) for name in _PAYLOAD[event.type]})
    return row


def decode(row: Mapping[str, Any]) -> Entry:
    """The entry that a row of the journal holds.

    Raises:
        JournalVersionError: the event's type or version is not known here.
        JournalError: a field is missing or of the wrong form.
    """
    return next(decode_rows({name: [row[name]] for name in DECODED}))


def decode_rows(columns: Mapping[str, Sequence[Any]]) -> Iterator[Entry]:
    """The entries that rows of the journal hold, given by the columns `DECODED`, in order.

    Raises:
        JournalVersionError, JournalError: as `decode`, when it comes to such a row.
    """
    payloads = _payloads(columns["data"])
    rows = zip(*(columns[name] for name in COLUMNS), strict=True)
    heads = zip(*(columns[name] for name in _HEAD), strict=True)
    for (seq, time, name, version), cells, payload in zip(heads, rows, payloads, strict=True):
        kind = EVENTS.get(name)
        if kind is None or version > kind.version:
            raise JournalVersionError(
                f"event {seq} is a {name!r} of version {version}, which this sweep does not know: "
                "it was written by a newer one; update sweep to read it"
            )
        try:
            values = json.loads(payload) if isinstance(payload, str) else payload
            if not values.keys() <= _KNOWN[name]:
                raise JournalVersionError(
                    f"event {seq} is a {name!r} with {', '.join(values.keys() - _KNOWN[name])}, "
                    "which this sweep does not know: it was written by a newer one; update sweep"
                )
            for place, field_name in _CELLS[name]:
                values[field_name] = cells[place]
            if "state" in values:
                values["state"] = TrialState(values["state"])
            if values.get("cause") is not None:
                values["cause"] = Cause(values["cause"])
            if version == 1 and kind in (StudyCreated, SpecChanged):
                _stopping(values["spec"].get("early_terminate"))
            yield Entry(seq=seq, time=time / 1e6, event=kind(**values))
        except (TypeError, ValueError) as error:
            raise JournalError(f"event {seq} ({name}) is not whole: {error}") from error


def _payloads(texts: Sequence[str]) -> Sequence[Any]:
    """What the texts hold: parsed as one, which takes half the time; else they themselves."""
    try:
        values: list[Any] = json.loads(f"[{','.join(texts)}]")
    except ValueError:
        return texts  # one of them is damaged: it is told when its turn comes
    return values if len(values) == len(texts) else texts


def _stopping(terminate: dict[str, Any] | None) -> None:
    """Say of ASHA in a spec of version 1 what was not written there, since it was all there was."""
    while terminate is not None:
        if terminate["type"] == "asha":
            terminate.setdefault("mode", "stop")
        terminate = terminate.get("then")
