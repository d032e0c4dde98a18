"""Scales: where values lie, and which an axis names."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from sweep.quantity import duration_text
from sweep.report.element import Markup, element, escaped
from sweep.report.scale import Names, Numbers, outside, scale_of, value_scale
from sweep.report.thinning import evenly, favouring

ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(ANY, max_size=40), st.sampled_from([None, True, False]))
def test_every_value_lies_on_the_scale(values: list[float], log: bool | None) -> None:
    """Whatever was measured, positions and ticks are between the ends, and ticks are few."""
    scale = scale_of(values, 10, 20, log=log)
    known = [value for value in values if math.isfinite(value)]
    assert all(10 <= scale.at(value) <= 20 for value in known)
    ticks = scale.ticks()
    assert len(ticks) <= 52
    assert all(10 <= at <= 20 for at, _ in ticks)


def test_ticks_are_round() -> None:
    """Of numbers, of logarithms, of times and of whole numbers."""
    assert [said for _, said in Numbers(0, 1, 0, 100).ticks()] == [
        "0",
        "0.2",
        "0.4",
        "0.6",
        "0.8",
        "1",
    ]
    assert [said for _, said in Numbers(1e-4, 1, 0, 100, log=True).ticks()] == (
        ["0.0001", "0.001", "0.01", "0.1", "1"]
    )
    times = Numbers(0, 3600, 0, 100, label=duration_text).ticks()
    assert [said for _, said in times] == [
        "0.0s",
        "10m00s",
        "20m00s",
        "30m00s",
        "40m00s",
        "50m00s",
        "1h00m",
    ]
    assert [said for _, said in Numbers(0, 1, 0, 9, whole=True).ticks()] == ["0", "1"]


def test_a_value_far_out_does_not_squeeze_the_others() -> None:
    """It is put at the edge, and counted."""
    values = [float(n) for n in range(100)] + [1e9]
    scale = scale_of([-1.0, *values], 0, 100)
    assert scale.high < 1000
    assert scale.at(1e9) == 100
    assert outside(scale, values) == 1


def test_values_of_several_types_are_names() -> None:
    """A parameter of texts, or of texts and numbers, has them side by side."""
    assert isinstance(value_scale([1, "a", True], 0, 9, log=None), Names)
    assert isinstance(value_scale([1, 2.5], 0, 9, log=None), Numbers)


@given(st.lists(st.integers(), max_size=60), st.integers(2, 20), st.integers(0, 2))
def test_thinning_keeps_the_order_the_ends_and_the_best(
    items: list[int], limit: int, best: int
) -> None:
    """Never more than the limit."""
    thinned = evenly(items, limit)
    assert len(thinned) == min(limit, len(items))
    if items:
        assert (thinned[0], thinned[-1]) == (items[0], items[-1])
    chosen = favouring(items, limit, lambda item: item, best)
    assert len(chosen) == min(limit, len(items))
    assert sorted(items)[:best] == sorted(chosen)[:best] or len(items) < best


def test_text_is_escaped_and_markup_is_not() -> None:
    """In content and in attributes; what no document may hold is replaced."""
    made = element("p", "<&>", Markup("<br>"), title='"x"', class_=None)
    assert made == '<p title="&quot;x&quot;">&lt;&amp;&gt;<br></p>'
    assert escaped("a\x1b[0m\n\ud800") == "a\ufffd[0m\n\ufffd"
