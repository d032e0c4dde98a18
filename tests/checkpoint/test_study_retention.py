"""Retention of a whole study: tables of cases, and what holds for all of them."""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.checkpoint.budget import RESERVE_BYTES, Ledger, Room, own_bytes, room
from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.checkpoint.retention import (
    Fate,
    Keep,
    Reason,
    Standing,
    Unsuccessful,
    incumbents,
    plan,
    plan_trial,
)

NOW = 1000.0
NAN = math.nan
RUNNING = Standing(Fate.UNFINISHED)
LOST = Standing(Fate.UNSUCCESSFUL)


def complete(value: float) -> Standing:
    return Standing(Fate.COMPLETE, value)


def record(name: str, loss: float | None = None, **fields: Any) -> CheckpointRecord:
    """A checkpoint of 10 bytes whose name is its trial and its epoch: ``"2.5"``."""
    trial, epoch = map(int, name.split("."))
    given = {
        "id": name,
        "trial": trial,
        "attempt": 1,
        "session": 1,
        "kind": Kind.PERIODIC,
        "epoch": epoch,
        "global_step": 10 * epoch,
        "step": epoch,
        "manifest": f"{name}.json",
        "digest": "",
        "bytes": 10,
        "new_bytes": 10,
        "saved": float(epoch),
        "metrics": {} if loss is None else {"loss": loss},
    }
    return CheckpointRecord(**(given | fields))


def gone(
    records: list[CheckpointRecord],
    trials: dict[int, Standing],
    keep: Keep,
    *,
    pinned: tuple[str, ...] = (),
    now: float = NOW,
) -> dict[str, Reason]:
    retirements = plan(records, trials, keep, metric="loss", maximize=False, pinned=pinned, now=now)
    return {retirement.id: retirement.reason for retirement in retirements}


PARTIAL, LIGHT = {"content": Content.PARTIAL}, {"content": Content.LIGHT}
FINAL = {"kind": Kind.FINAL}
END = [record("0.1", 3.0), record("0.2", 2.0), record("0.3", 1.0, id="a")]
END.append(record("0.3", 1.0, id="z", **FINAL))
"""Three epochs, and the end, which is the state of the last one."""
LATER = [record(f"0.{epoch}", 1.0, measured=()) for epoch in (1, 2, 3, 4)]
"""Saved after reports."""


@pytest.mark.parametrize(
    ("records", "standing", "keep", "expected"),
    [
        # the newest full one stays, however many newer ones hold less
        ([record("0.1"), record("0.2", **PARTIAL)], RUNNING, Keep(1, 0), ""),
        ([record("0.1", **PARTIAL), record("0.2", **PARTIAL)], RUNNING, Keep(1, 0), "0.1"),
        ([record("0.1", 1.0, **LIGHT), record("0.2", **LIGHT)], RUNNING, Keep(1, 1), "0.1"),
        ([record("0.1", 1.0, **PARTIAL), record("0.2", 2.0)], RUNNING, Keep(1, 1), ""),
        # every n-th epoch
        ([record(f"0.{n}") for n in range(1, 8)], RUNNING, Keep(1, 0, 3), "0.1 0.2 0.4 0.5"),
        ([record("0.0"), record("0.1")], RUNNING, Keep(1, 0, 1), "0.0"),
        (
            [record("0.2", id="a"), record("0.2", id="b", global_step=21), record("0.3")],
            RUNNING,
            Keep(1, 0, 2),
            "b",
        ),
        (
            [record("0.2", id="a", **LIGHT), record("0.2", id="b", global_step=21), record("0.4")],
            RUNNING,
            Keep(1, 0, 2),
            "",
        ),
        # the end of a trial, which is one position with its last epoch
        ([record("0.1"), record("0.2", id="a"), record("0.2", **FINAL)], complete(1), Keep(2), "a"),
        ([record("0.1"), record("0.2", **FINAL)], complete(1), Keep(1, 0, final=False), "0.1 0.2"),
        ([record("0.1"), record("0.2", **FINAL)], complete(1), Keep(2, 0, final=False), "0.2"),
        (
            [record("0.1", 2.0), record("0.2", 1.0, **FINAL)],
            complete(1),
            Keep(1, 1, final=False),
            "0.1",
        ),
        ([record("0.1"), record("0.2", **FINAL)], RUNNING, Keep(1, 0, final=False), "0.1"),
        # ... which counts once, and stays in both forms while there are fewer states than asked for
        (END, complete(1), Keep(1, 0), "0.1 0.2 a"),
        (END, complete(1), Keep(2, 0), "0.1 a"),
        (END, complete(1), Keep(3, 0), "a"),
        (END, complete(1), Keep(99, 0), ""),
        (END, complete(1), Keep(0, 1), "0.1 0.2 a"),
        (END, complete(1), Keep(0, 2), "0.1 a"),
        (END, complete(1), Keep(0, 3), "a"),
        (END, complete(1), Keep(0, 99), ""),
        (END, complete(1), Keep(99, 0, final=False), "z"),
        (END[:3], RUNNING, Keep(99, 0), ""),
        # the best is what was measured
        ([record("0.1", 1.0), record("0.2", 0.5, measured=())], RUNNING, Keep(0, 1), ""),
        (
            [record("0.1", 1.0), record("0.2", 0.5, measured=()), record("0.3", 2.0)],
            complete(1),
            Keep(0, 1),
            "0.2 0.3",
        ),
        (
            [record("0.1", 1.0), record("0.2", 1.0, measured=()), record("0.3", measured=())],
            complete(1),
            Keep(0, 2),
            "0.2 0.3",
        ),
        # the nearest before the best report, where none was
        (LATER, Standing(Fate.COMPLETE, 1.0, best_step=3), Keep(0, 1), "0.1 0.3 0.4"),
        (LATER, Standing(Fate.COMPLETE, 1.0, best_step=9), Keep(0, 3), "0.1 0.2 0.3"),
        (LATER, Standing(Fate.COMPLETE, 1.0, best_step=0), Keep(0, 1), "0.2 0.3 0.4"),
        (LATER, Standing(Fate.COMPLETE, 1.0), Keep(0, 1), "0.1 0.2 0.3 0.4"),
        # failed and pruned trials
        ([record("0.1", 1.0), record("0.2", 2.0)], LOST, Keep(2, 2, 1), "0.1"),
        (
            [record("0.1"), record("0.2")],
            LOST,
            Keep(unsuccessful=Unsuccessful.NONE),
            "0.1 0.2",
        ),
        ([record("0.1"), record("0.2", **PARTIAL)], LOST, Keep(), "0.2"),
        # metrics that are no numbers
        ([record("0.1", NAN), record("0.2", NAN)], RUNNING, Keep(1, 2), "0.1"),
        ([record("0.1", NAN), record("0.2", NAN)], complete(1), Keep(1, 1), "0.1"),
    ],
)
def test_of_a_trial(
    records: list[CheckpointRecord], standing: Standing, keep: Keep, expected: str
) -> None:
    """Records of one trial in, those that may go out."""
    found = gone(records, {0: standing}, keep)
    assert " ".join(found) == expected
    reason = Reason.UNSUCCESSFUL if standing is LOST else Reason.SUPERSEDED
    assert set(found.values()) <= {reason}


def test_incumbents_keep_the_others_lose() -> None:
    """The best n completed trials keep their best; others lose theirs when they are finished."""
    records = [record(f"{trial}.{epoch}", trial + epoch) for trial in range(4) for epoch in (1, 2)]
    trials = {0: complete(3.0), 1: complete(1.0), 2: complete(2.0), 3: RUNNING}
    found = gone(records, trials, Keep(last=1, best=0, incumbents=2))
    others = {"0.1": Reason.INCUMBENTS, "0.2": Reason.INCUMBENTS}
    assert found == others | {"3.1": Reason.SUPERSEDED}
    found = gone(records, trials, Keep(last=1, best=0, incumbents=2, every_nth=2))
    assert found == {"0.1": Reason.INCUMBENTS, "3.1": Reason.SUPERSEDED}
    assert incumbents(trials, 2, maximize=False) == {1, 2}
    assert incumbents(trials, 2, maximize=True) == {0, 2}
    assert incumbents({0: complete(NAN), 1: LOST}, 2, maximize=True) == set()
    equal = {number: Standing(Fate.COMPLETE, 1.0, order) for number, order in ((0, 5), (1, 3))}
    for maximize in (False, True):  # of equals the one that was known first
        assert incumbents(equal, 1, maximize=maximize) == {1}


def test_front_and_constraints_come_before_values() -> None:
    """All of a front are incumbents; a trial that exceeds a constraint is one after all others."""
    trials = {
        0: Standing(Fate.COMPLETE, 9.0, front=True),
        1: Standing(Fate.COMPLETE, 8.0, front=True),
        2: Standing(Fate.COMPLETE, 1.0, feasible=False),
        3: Standing(Fate.COMPLETE, 2.0),
    }
    assert incumbents(trials, 1, maximize=False) == {0, 1}
    assert incumbents(trials, 3, maximize=False) == {0, 1, 3}
    assert incumbents(trials, 4, maximize=False) == {0, 1, 2, 3}
    records = [record(f"{trial}.1", float(trial)) for trial in trials]
    keep = Keep(last=1, best=1, bytes=20)
    assert gone(records, trials, keep) == {"2.1": Reason.BYTES, "3.1": Reason.BYTES}


def test_age() -> None:
    """What is older goes, but for the study's best, the last of what runs, and every n-th."""
    records = [record(f"{t}.{e}", e, saved=900.0 + e) for t in range(4) for e in (1, 2, 3)]
    trials = {0: complete(1.0), 1: complete(2.0), 2: RUNNING, 3: LOST}
    keep = Keep(last=9, best=0, age=NOW - 903)
    found = gone(records, trials, keep, pinned=("1.2",))
    assert set(found) == {"0.2", "1.1", "2.1", "2.2", "3.1", "3.2"}
    assert found["1.1"] is Reason.AGE
    assert found["3.1"] is Reason.UNSUCCESSFUL
    assert set(gone(records, trials, keep, now=NOW + 1000)) == {
        record.id for record in records if record.id not in ("0.1", "2.3")
    }
    nth = dataclasses.replace(keep, every_nth=2)
    assert "1.2" not in gone(records, trials, nth)
    assert not gone(records, trials, dataclasses.replace(keep, age=1e6)).keys() - {"3.1", "3.2"}


STUDY = [
    record("0.1", 5.0, saved=11.0),
    record("0.2", 6.0, saved=1.0),
    record("1.1", 3.0, saved=3.0),
    record("1.2", 4.0, saved=4.0),
    record("2.1", 9.0, saved=2.0),
    record("2.2", 8.0, saved=5.0),
    record("3.1", 1.0, saved=6.0),
    record("3.2", 2.0, saved=7.0),
    record("4.1", 0.0, saved=0.0),
]
STANDINGS = {0: complete(5.0), 1: complete(3.0), 2: RUNNING, 3: complete(1.0), 4: LOST}


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (90, []),
        (89, ["4.1"]),  # of the pruned trial
        (70, ["4.1", "0.2"]),  # of completed ones what is not their best, oldest first
        (69, ["4.1", "0.2", "1.2"]),
        (50, ["4.1", "0.2", "1.2", "3.2"]),
        (40, ["4.1", "0.2", "1.2", "3.2", "2.1"]),  # of running ones what is not needed
        (30, ["4.1", "0.2", "1.2", "3.2", "2.1", "0.1"]),  # the best of the worst trial
        (20, ["4.1", "0.2", "1.2", "3.2", "2.1", "0.1", "1.1"]),
        (1, ["4.1", "0.2", "1.2", "3.2", "2.1", "0.1", "1.1"]),  # no more than may go
    ],
)
def test_budget(budget: int, expected: list[str]) -> None:
    """The least valuable go first, no more than must, and never the incumbent's best."""
    found = gone(STUDY, STANDINGS, Keep(9, 9, bytes=budget))
    assert set(found) == set(expected)
    assert set(found.values()) <= {Reason.BYTES}


def test_shared_files_count_once() -> None:
    """A file that several checkpoints hold is one file, and goes with the last of them."""
    shared = {"bytes": 1000, "shared": (("backbone", 900), ("head", 50), ("head", 50))}
    records = [record("0.1", **shared), record("1.1", **shared), record("2.1")]
    assert own_bytes(records[0]) == 50
    ledger = Ledger(records)
    assert ledger.total == 900 + 50 + 50 + 50 + 10
    ledger.remove(records[0])
    assert ledger.total == 900 + 50 + 50 + 10
    ledger.remove(records[1])
    assert ledger.total == 10
    lost = {0: LOST, 1: LOST, 2: RUNNING}
    assert not gone(records, lost, Keep(bytes=1060))
    assert set(gone(records, lost, Keep(bytes=1059))) == {"0.1"}
    assert set(gone(records, lost, Keep(bytes=1000))) == {"0.1", "1.1"}


@st.composite
def checkpoints(draw: st.DrawFn, trial: int, epoch: int) -> CheckpointRecord:
    return record(
        f"{trial}.{epoch}",
        draw(st.none() | st.sampled_from([0.0, 1.0, 2.0, NAN, math.inf])),
        content=draw(st.sampled_from(Content)),
        kind=draw(st.sampled_from([Kind.PERIODIC, Kind.FINAL])),
        bytes=draw(st.integers(10, 40)),
        shared=draw(st.sampled_from([(), (("x", 5),), (("x", 5), ("y", 3))])),
        saved=NOW - draw(st.integers(0, 20)),
    )


@st.composite
def studies(draw: st.DrawFn) -> tuple[list[CheckpointRecord], dict[int, Standing]]:
    records: list[CheckpointRecord] = []
    trials: dict[int, Standing] = {}
    for trial in range(draw(st.integers(1, 4))):
        fate = draw(st.sampled_from(Fate))
        valued = fate in (Fate.COMPLETE, Fate.PAUSED)
        value = draw(st.none() | st.floats()) if valued else None
        trials[trial] = Standing(fate, value, rung=draw(st.sampled_from([1, 3, 9])))
        records += [draw(checkpoints(trial, epoch)) for epoch in range(draw(st.integers(0, 5)))]
    return records, trials


keeps = st.builds(
    Keep,
    last=st.integers(0, 3),
    best=st.integers(0, 3),
    every_nth=st.none() | st.integers(1, 3),
    incumbents=st.none() | st.integers(1, 3),
    final=st.booleans(),
    unsuccessful=st.sampled_from(Unsuccessful),
    bytes=st.none() | st.integers(1, 200),
    age=st.none() | st.floats(1, 20),
)


@given(studies(), keeps, st.data())
def test_never_what_is_needed(
    study: tuple[list[CheckpointRecord], dict[int, Standing]], keep: Keep, data: st.DataObject
) -> None:
    """What is pinned and the newest full one of an unfinished trial stay, whatever is asked.

    But a budget takes that of a paused one.
    """
    records, trials = study
    ids = [record.id for record in records]
    pinned = data.draw(st.sets(st.sampled_from(ids), max_size=3)) if ids else set()
    found = gone(records, trials, keep, pinned=tuple(pinned))
    assert not found.keys() & pinned
    for trial, standing in trials.items():
        full = [r.id for r in records if r.trial == trial and r.content is Content.FULL]
        waits = standing.fate is Fate.PAUSED and keep.bytes is None
        if full and (standing.fate is Fate.UNFINISHED or waits):
            assert full[-1] not in found


def paused(rung: int, value: float | None) -> Standing:
    return Standing(Fate.PAUSED, value, rung=rung)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (70, ""),
        (60, "0.1"),  # the lowest rung first, and there NaN
        (50, "0.1 1.1"),  # then the worst value
        (40, "0.1 1.1 2.1"),
        (20, "0.1 1.1 2.1 3.3 4.3"),
        (1, "0.1 1.1 2.1 3.3 4.3"),  # what runs, and the best of the study, stay
    ],
)
def test_the_worst_paused_trials_give_way(budget: int, expected: str) -> None:
    """Where nothing else is left; by their rung, and at one rung by the value there."""
    names = ["0.1", "1.1", "2.1", "3.3", "4.3", "5.1", "6.9"]
    records = [record(name, 1.0) for name in names]
    trials = {
        0: paused(1, NAN),
        1: paused(1, 9.0),
        2: paused(1, 3.0),
        3: paused(3, 8.0),
        4: paused(3, 2.0),
        5: RUNNING,
        6: complete(1.0),
    }
    found = gone(records, trials, Keep(bytes=budget))
    assert " ".join(found) == expected
    assert set(found.values()) <= {Reason.PAUSED}


def test_all_else_goes_before_what_a_paused_trial_goes_on_from() -> None:
    """Also the best checkpoint of a completed trial; and its age takes nothing from it."""
    records = [record("0.1", 1.0), record("0.2", 2.0), record("1.9", 5.0), record("2.9", 4.0)]
    trials = {0: paused(1, 2.0), 1: complete(5.0), 2: complete(4.0)}
    found = gone(records, trials, Keep(best=2, bytes=20))
    assert found == {"0.1": Reason.BYTES, "1.9": Reason.BYTES}
    found = gone(records, trials, Keep(best=2, bytes=10))
    assert found["0.2"] is Reason.PAUSED
    assert "0.2" not in gone(records, trials, Keep(best=2, age=1.0))


@given(studies(), keeps)
def test_again_is_nothing_more(
    study: tuple[list[CheckpointRecord], dict[int, Standing]], keep: Keep
) -> None:
    """Applied to what it left, a plan finds nothing to do."""
    records, trials = study
    found = gone(records, trials, keep)
    assert not gone([record for record in records if record.id not in found], trials, keep)


@given(studies(), keeps, st.randoms(use_true_random=False))
def test_order_of_trials_does_not_count(
    study: tuple[list[CheckpointRecord], dict[int, Standing]], keep: Keep, chooser: random.Random
) -> None:
    """Records may come in any order of trials."""
    records, trials = study
    order = list(trials)
    chooser.shuffle(order)
    shuffled = [record for trial in order for record in records if record.trial == trial]
    assert gone(shuffled, trials, keep) == gone(records, trials, keep)


@given(studies(), keeps, st.data())
def test_keeping_more_loses_nothing(
    study: tuple[list[CheckpointRecord], dict[int, Standing]], keep: Keep, data: st.DataObject
) -> None:
    """Whoever asks for more of anything keeps all that was kept; a budget is left aside.

    With a budget more of one kind can cost another, so there only the budget itself is raised.
    """
    records, trials = study
    field = data.draw(
        st.sampled_from(["last", "best", "incumbents", "age", "final", "unsuccessful", "bytes"])
    )
    if field != "bytes":
        keep = dataclasses.replace(keep, bytes=None)
    now: Any = getattr(keep, field)
    more = {"final": True, "unsuccessful": Unsuccessful.LAST}.get(field)
    if more is None and now is not None:
        more = now + data.draw(st.integers(1, 100))
    fewer = gone(records, trials, dataclasses.replace(keep, **{field: more}))
    assert fewer.keys() <= gone(records, trials, keep).keys()


@given(studies(), keeps)
def test_a_budget_is_met_or_nothing_more_may_go(
    study: tuple[list[CheckpointRecord], dict[int, Standing]], keep: Keep
) -> None:
    """What is left fits the budget, unless it is only what no rule may take."""
    records, trials = study
    keep = dataclasses.replace(keep, bytes=60)
    found = gone(records, trials, keep)
    left = [record for record in records if record.id not in found]
    if Ledger(left).total > 60:
        assert not gone(left, trials, dataclasses.replace(keep, bytes=1))


def test_of_a_trial_alone_is_cheap() -> None:
    """One trial is judged in well under a millisecond; ten times the records of a study take about
    ten times as long, not a hundred."""
    of_one = [record(f"0.{epoch}", float(epoch % 7)) for epoch in range(5)]
    begun = time.perf_counter()
    for _ in range(100):
        plan_trial(of_one, RUNNING, Keep(), metric="loss", maximize=False, pinned=())
    assert (time.perf_counter() - begun) / 100 < 1e-3

    def cost(count: int) -> float:
        records = [record(f"{t}.{e}", float(e)) for t in range(count) for e in range(10)]
        trials = {trial: complete(float(trial)) for trial in range(count)}
        begun = time.process_time()
        assert len(gone(records, trials, Keep(9, 9, incumbents=count // 2, bytes=1000, age=999.5)))
        return time.process_time() - begun

    ratios = [cost(1000) / cost(100) for _ in range(5)]
    assert statistics.median(ratios) < 40


@pytest.mark.parametrize(
    ("needed", "free", "left", "expected"),
    [
        (10, 10**9, None, Room.ENOUGH),
        (10, 10**9, 10, Room.ENOUGH),
        (10, 10**9, 9, Room.OVER_BUDGET),
        (10, 10**9, -5, Room.OVER_BUDGET),
        (10, RESERVE_BYTES + 9, None, Room.DISK_FULL),
        (10, RESERVE_BYTES + 10, None, Room.ENOUGH),
        (10, 0, 100, Room.DISK_FULL),
    ],
)
def test_room(needed: int, free: int, left: int | None, expected: Room) -> None:
    """A disk that is full forbids a save, a budget that is spent does not."""
    assert room(needed, free, left) is expected


def test_record_remembers_what_it_shares() -> None:
    """Shared files and content survive JSON; a record of before they were there is full."""
    made = record("0.1", shared=(("ab", 3),), content=Content.PARTIAL)
    assert CheckpointRecord.from_json(made.to_json()) == made
    assert made.to_json()["shared"] == [["ab", 3]]
    old = {k: v for k, v in record("0.1").to_json().items() if k not in ("shared", "content")}
    assert CheckpointRecord.from_json(old) == record("0.1")


@pytest.mark.parametrize("field", ["every_nth", "incumbents", "bytes", "age"])
def test_zero_is_refused(field: str) -> None:
    """A count of zero where None means nothing is an error of whoever made it."""
    with pytest.raises(ValueError, match=f"keep.{field} must be above 0, not 0"):
        Keep(**{field: 0})
