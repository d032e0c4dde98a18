"""What may be deleted: a table of cases, and what holds for all of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.checkpoint.record import CheckpointRecord, Kind
from sweep.checkpoint.retention import Keep, retired

NAN = math.nan


def records(losses: list[float | None]) -> list[CheckpointRecord]:
    """One checkpoint per loss, ``c0`` the oldest."""
    return [
        CheckpointRecord(
            id=f"c{number}",
            trial=0,
            attempt=1,
            session=1,
            kind=Kind.PERIODIC,
            epoch=number,
            global_step=0,
            step=number,
            manifest=f"{number}.json",
            digest="",
            bytes=1,
            new_bytes=1,
            saved=float(number),
            metrics={} if loss is None else {"loss": loss},
        )
        for number, loss in enumerate(losses)
    ]


def kept(
    losses: list[float | None], keep: Keep, *, maximize: bool = False, finished: bool = False
) -> str:
    gone = retired(records(losses), keep, "loss", maximize, finished)
    return "".join(str(number) for number in range(len(losses)) if f"c{number}" not in gone)


@pytest.mark.parametrize(
    ("losses", "keep", "options", "expected"),
    [
        ([3, 1, 2], Keep(1, 1), {}, "12"),
        ([3, 1, 2], Keep(1, 1), {"maximize": True}, "02"),
        ([3, 1, 2], Keep(2, 0), {}, "12"),
        ([3, 1, 2, 5], Keep(1, 2), {}, "123"),
        ([1, 1, 1], Keep(1, 1), {}, "2"),
        ([NAN, NAN, 2, NAN], Keep(1, 2), {}, "23"),
        ([NAN, None], Keep(1, 1), {}, "1"),
        ([math.inf, 2, -math.inf], Keep(0, 1), {"finished": True}, "1"),
        ([3, 1, 2], Keep(0, 0), {}, "2"),
        ([3, 1, 2], Keep(0, 0), {"finished": True}, ""),
        ([3, 1, 2], Keep(0, 1), {"finished": True}, "1"),
        ([3, 1, 2], Keep(9, 9), {}, "012"),
        ([], Keep(1, 1), {}, ""),
    ],
)
def test_table(losses: list, keep: Keep, options: dict, expected: str) -> None:
    """Records in, kept ones out."""
    assert kept(losses, keep, **options) == expected


@given(
    losses=st.lists(st.none() | st.floats(), max_size=8),
    last=st.integers(0, 4),
    best=st.integers(0, 4),
    maximize=st.booleans(),
    finished=st.booleans(),
)
def test_properties(
    losses: list[float | None], last: int, best: int, maximize: bool, finished: bool
) -> None:
    """The newest of an unfinished trial stays, nothing better than a kept best goes, few stay."""
    everything = records(losses)
    gone = retired(everything, Keep(last, best), "loss", maximize, finished)
    stay = [record for record in everything if record.id not in gone]
    assert len(gone) == len(set(gone))
    assert len(stay) <= max(last, 0 if finished else 1) + best
    if losses and not finished:
        assert everything[-1] in stay
    assert stay[len(stay) - min(last, len(everything)) :] == everything[
        len(everything) - last :
    ] or (last > len(everything) or last == 0)
    values = [loss for loss in losses if loss is not None and not math.isnan(loss)]
    if best and values:
        top = max(values) if maximize else min(values)
        assert any(record.metrics.get("loss") == top for record in stay)


def test_again_is_nothing_more() -> None:
    """What is kept is kept when it is asked again."""
    left = [record for record in records([3, 1, 2]) if record.id != "c0"]
    assert retired(left, Keep(1, 1), "loss", maximize=False, finished=False) == []


def test_negative_counts_are_refused() -> None:
    """A negative count is an error of whoever made it."""
    with pytest.raises(ValueError, match=r"keep\.best must be 0 or more, not -1"):
        Keep(1, -1)
