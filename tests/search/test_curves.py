"""Trials are compared at one step: by what they reported there, or on both sides of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.search.curves import Curves, Mark


def curves(*reports: tuple[int, int, float], sign: float = 1.0) -> Curves:
    """The curves of ``reports`` (trial, step, value), all of which count."""
    found = Curves()
    found.sign = sign
    for trial, step, value in reports:
        found.report(trial, 0, step, value)
        found.count(trial, found.reports(trial))
    return found


def test_a_value_between_two_reports_lies_on_the_line() -> None:
    """At step 34 of 29 and 39; what has no report on one side is not compared."""
    found = curves((0, 29, 1.0), (0, 39, 3.0), (1, 34, 1.5), (2, 39, 0.0), (3, 29, 0.0))
    order = [(each.trial, each.badness) for each in found.standings(Mark(0, 34))]
    assert order == [(1, 1.5), (0, 2.0)]
    found.report(3, 0, 44, 3.0)
    found.count(3, 2)
    assert [each.trial for each in found.standings(Mark(0, 34))] == [3, 1, 0]


@pytest.mark.parametrize(("goal", "order"), [(1.0, [1, 2, 0]), (-1.0, [0, 1, 2])])
def test_nan_is_last_and_of_equals_the_first_trial_leads(goal: float, order: list[int]) -> None:
    found = curves((0, 1, 2.0), (1, 1, 1.0), (2, 1, 1.0), (3, 1, math.nan), sign=goal)
    assert [each.trial for each in found.standings(Mark(0, 1))] == [*order, 3]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_so_between_reports(value: float) -> None:
    for reports in ([(0, 1, value), (0, 5, 1.0)], [(0, 1, 1.0), (0, 5, value)]):
        standing = curves(*reports).standings(Mark(0, 3))[0]
        assert standing.unknown if math.isnan(value) else standing.badness == value


def test_a_step_that_is_reported_again_stays() -> None:
    """A resume reports again what was compared already."""
    found = curves((0, 1, 1.0), (0, 2, 2.0), (0, 1, 9.0), (0, 2, 9.0), (0, 3, 3.0))
    assert found.reports(0) == 3
    assert found.standings(Mark(0, 2))[0].badness == 2.0


def test_brackets_are_compared_apart() -> None:
    found = Curves()
    for trial, bracket in ((0, 0), (1, 1), (2, 1)):
        found.report(trial, bracket, 3, float(trial))
        found.count(trial, 1)
    assert [each.trial for each in found.standings(Mark(1, 3))] == [1, 2]


reports = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=30
)


@given(reports, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), max_size=12))
@settings(max_examples=150, deadline=None)
def test_standings_are_those_that_a_fresh_look_gives(
    given_reports: list[tuple[int, int, int]], counts: list[tuple[int, int]]
) -> None:
    """Whatever is counted and taken back, and whenever a mark was first asked for."""
    kept, asked = Curves(), list(range(12))
    steps = dict.fromkeys(range(4), -1)
    for trial, ahead, value in given_reports:
        steps[trial] += ahead
        kept.report(trial, 0, steps[trial], float(value))
    for place, (trial, count) in enumerate(counts):
        kept.standings(Mark(0, asked[place]))
        kept.count(trial, min(count, kept.reports(trial)))
    fresh, steps = Curves(), dict.fromkeys(range(4), -1)
    for trial, ahead, value in given_reports:
        steps[trial] += ahead
        fresh.report(trial, 0, steps[trial], float(value))
    for trial, count in dict(counts).items():
        fresh.count(trial, min(count, fresh.reports(trial)))
    for step in asked:
        assert kept.standings(Mark(0, step)) == fresh.standings(Mark(0, step))
