"""Events: what is written is read, also by later versions."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from journal_events import asked, created, reported

from sweep.errors import JournalVersionError
from sweep.journal.event import (
    EVENTS,
    DriverStarted,
    Entry,
    Event,
    SpecChanged,
    TrialForked,
)
from sweep.journal.fold import fold
from sweep.journal.row import decode, encode


def test_newer_event_is_refused() -> None:
    """An event type or version that is not known is an error with its name."""
    row = encode(Entry(seq=0, time=0.0, event=created()))
    with pytest.raises(JournalVersionError, match="version 9"):
        decode({**row, "version": 9})
    with pytest.raises(JournalVersionError, match="trial_cloned"):
        decode({**row, "type": "trial_cloned"})


@pytest.mark.parametrize(
    ("event", "later"),
    [
        (asked(0), {"enqueued": None, "again": 0, "reuses": None}),
        (SpecChanged(spec={}, project="/p", changes=["x"]), {"left_out": []}),
    ],
    ids=lambda value: getattr(value, "type", ""),
)
def test_older_event_is_read(event: Event, later: dict[str, object]) -> None:
    """An event of version 1 has nothing of what later versions added, and means what it meant."""
    row = encode(Entry(seq=0, time=0.0, event=event))
    data = {name: value for name, value in json.loads(row["data"]).items() if name not in later}
    read = decode({**row, "version": 1, "data": json.dumps(data)}).event
    assert read == event
    assert {name: getattr(read, name) for name in later} == later


def test_older_events_are_read() -> None:
    """What a version has added has a default in events of the older ones."""
    forked = TrialForked(
        trial=1, parent=0, source="0@1.0", step=0, checkpoint="1@1.0", record={}, params={},
        latents={}, inside=True, exploits=0,
    )  # fmt: skip
    for event, added in ((forked, "exploits"), (reported(0, 1, 2.0), "last")):
        row = encode(Entry(seq=0, time=0.0, event=event))
        data = json.loads(row["data"])
        del data[added]
        older = decode({**row, "version": 1, "data": json.dumps(data)}).event
        assert not getattr(older, added)
        assert type(older).version == 2


def test_an_older_start_has_no_sources() -> None:
    """A session of before space functions is read, and one after it takes none away."""
    known = DriverStarted(session=1, host="h", pid=1, versions={}, sources={"space a:b": "c0ffee"})
    row = encode(Entry(seq=2, time=0.0, event=replace(known, session=2, sources={})))
    data = {key: each for key, each in json.loads(row["data"]).items() if key != "sources"}
    older = decode({**row, "version": 1, "data": json.dumps(data)})
    begun = [Entry(seq=seq, time=0.0, event=each) for seq, each in enumerate((created(), known))]
    state = fold([*begun, older])
    assert state.sources == {"space a:b": "c0ffee"}


@pytest.mark.parametrize("kind", ["study_created", "spec_changed"])
def test_asha_of_an_older_spec_stops_its_trials(kind: str) -> None:
    """A spec of before trials were paused means what it meant when it was written."""
    asha = {"type": "asha", "min_resource": 2}
    patient = {"type": "patient", "patience": 1, "then": asha}
    for written, read in (
        (asha, asha | {"mode": "stop"}),
        (patient, patient | {"then": asha | {"mode": "stop"}}),
        (asha | {"mode": "pause"}, asha | {"mode": "pause"}),
        ({"type": "median"}, {"type": "median"}),
        (None, None),
    ):
        event = EVENTS[kind]
        more = {"changes": ["x"]} if event is SpecChanged else {}
        made = event(spec={"early_terminate": written}, project="", **more)
        row = encode(Entry(seq=0, time=0.0, event=made))
        assert decode({**row, "version": 1}).event.spec["early_terminate"] == read
        assert decode(row).event == made
