"""Persistent collections: a snapshot stays what it was, and costs next to nothing."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.search import persistent
from sweep.search.persistent import FirstSeen, PersistentList, Series
from sweep.spec.value import digest, identity

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 9)),
        st.tuples(st.just("set"), st.integers(0, 99)),
        st.tuples(st.just("truncate"), st.integers(0, 99)),
        st.tuples(st.just("snapshot"), st.integers(0, 3)),
        st.tuples(st.just("turn to"), st.integers(0, 3)),
    ),
    max_size=60,
)


@given(STEPS)
def test_it_is_a_list_and_so_is_each_snapshot(steps: list[tuple[str, int]]) -> None:
    """Whatever is done to one of several snapshots happens to that one alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(persistent, "CHUNK", 3)
        lists: list[tuple[PersistentList[int], list[int]]] = [
            (PersistentList(range(7)), [*range(7)])
        ]
        at = 0
        for step, value in steps:
            ours, model = lists[at]
            match step:
                case "append":
                    ours.append(value)
                    model.append(value)
                case "set" if model:
                    ours[value % len(model)] = model[value % len(model)] = -value
                case "truncate":
                    ours.truncate(value)
                    del model[value:]
                case "snapshot":
                    lists.append((ours.snapshot(), list(model)))
                case "turn to":
                    at = value % len(lists)
            for ours, model in lists:
                assert list(ours) == model
                assert [ours[place] for place in range(-len(model), len(model))] == model * 2
                assert list(ours.since(value)) == model[value:]
                assert len(ours) == len(model)
            for place in (len(lists[at][1]), -len(lists[at][1]) - 1):
                with pytest.raises(IndexError):
                    lists[at][0][place]


def test_a_snapshot_of_a_long_list_is_small() -> None:
    """It holds chunks, not items, and what is written after it copies one of them."""
    long = PersistentList(range(100_000))
    tracemalloc.start()
    twin = long.snapshot()
    long[50_000] = twin[7] = 0
    assert tracemalloc.get_traced_memory()[1] < 20_000
    tracemalloc.stop()
    assert (twin[50_000], long[7]) == (50_000, 7)


NUMBERS = st.integers(-3, 3) | st.sampled_from([0.0, -0.0, 1.0, 1e300]) | st.floats(allow_nan=False)
TEXTS = st.text(max_size=2) | st.sampled_from(["1", "n", "[]", "\ud800"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=2), each),
    max_leaves=6,
)


@given(VALUES, VALUES)
def test_a_digest_stands_for_an_identity(one: Any, other: Any) -> None:
    """Digests are equal where identities are."""
    keys = identity(one), identity(other)
    assert (digest(keys[0]) == digest(keys[1])) == (keys[0] == keys[1])


def test_numbers_of_equal_value_have_one_digest() -> None:
    """Whatever type holds them; truth values and texts are others."""
    np = pytest.importorskip("numpy")
    same = {digest(identity({"a": value})) for value in (1, 1.0, np.float64(1.0))}
    assert len(same) == 1
    others = {digest(identity({"a": value})) for value in (True, "1", [1], 2, None)}
    assert len(others | same) == 6


def test_the_first_value_stays_and_a_snapshot_sees_no_later_one() -> None:
    """Keys that come later are none of a snapshot, which cannot be added to."""
    seen: FirstSeen[int] = FirstSeen()
    one, two = identity({"x": 1}), identity({"x": 2})
    seen.add(one, 10)
    then = seen.snapshot()
    seen.add(one, 11)
    seen.add(two, 12)
    assert (seen.get(one), seen.get(two), len(seen)) == (10, 12, 2)
    assert (then.get(one), then.get(two), len(then)) == (10, None, 1)
    assert (one in then, two in then, two in seen) == (True, False, True)
    with pytest.raises(TypeError, match="stays"):
        then.add(two, 13)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(-1, 8), st.floats() | st.integers(0, 3)),
        max_size=30,
    )
)
def test_a_series_is_a_dictionary_that_is_not_changed(steps: list[tuple[int, int, float]]) -> None:
    """Whichever one of several is continued, or cut, all stay what they were."""
    known: list[tuple[Series, dict[int, float]]] = [(Series(), {})]
    for place, step, value in steps:
        ours, model = known[place % len(known)]
        if value == 3:
            known.append((ours.until(step), {at: v for at, v in model.items() if at <= step}))
        else:
            known.append((ours.having(step, value), {**model, step: value}))
        for ours, model in known:
            expected = sorted(model.items())
            assert repr(ours.items()) == repr(expected)
            assert [*ours] == sorted(model)
            assert repr(ours.values()) == repr([value for _, value in expected])
            assert len(ours) == len(model)
            for at in range(-1, 9):
                assert (at in ours) == (at in model)
                assert repr(ours.get(at)) == repr(model.get(at))


def test_a_value_more_costs_the_same_in_a_long_series() -> None:
    """It copies nothing, also where a pruner was shown the value before."""
    long = Series((step, 0.5) for step in range(100_000))
    shown = long.having(100_000, 1.0)
    tracemalloc.start()
    known = long.having(100_000, 1.0)
    for step in range(100_001, 100_101):
        known = known.having(step, 1.0)
    assert tracemalloc.get_traced_memory()[1] < 100_000 * 8
    tracemalloc.stop()
    assert (len(long), len(shown), len(known)) == (100_000, 100_001, 100_101)
