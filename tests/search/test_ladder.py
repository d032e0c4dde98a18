"""Rungs and brackets, against the tables of the papers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from test_search import spec_of

from sweep.search.ladder import Ladder, bracket_size


def ladder(kind: str, **options: Any) -> Ladder:
    made = Ladder.of(spec_of("random", {"type": kind, **options}).early_terminate)
    assert made is not None
    return made


def rungs(made: Ladder, bracket: int | None, steps: int) -> list[int]:
    """The rungs that a trial meets in so many steps."""
    found: list[int] = []
    for step in range(1, steps + 1):
        rung = made.rung(bracket, step, found[-1] if found else 0)
        if rung is not None:
            assert rung == step
            found.append(rung)
    return found


@pytest.mark.parametrize(("rate", "expected"), [(0, [1, 3]), (1, [3]), (2, [])])
def test_brackets_of_the_paper(rate: int, expected: list[int]) -> None:
    """Figure 1 of arXiv 1810.05934: r = 1, R = 9, eta = 3; at R a trial is at its end."""
    made = ladder("hyperband", min_resource=1, max_resource=9, reduction_factor=3)
    assert rungs(made, rate, 9) == expected


def test_sizes_of_brackets_in_hyperband() -> None:
    """Table 1 of Hyperband, JMLR 18: R = 81, eta = 3."""
    assert [bracket_size(5, 3, rate) for rate in range(5)] == [81, 34, 15, 8, 5]


def test_rungs_without_an_end() -> None:
    """Where nobody says how long a trial is, there is always a further rung."""
    assert rungs(ladder("asha"), None, 70) == [1, 4, 16, 64]
    assert rungs(ladder("asha", min_early_stopping_rate=1), None, 70) == [4, 16, 64]
    assert rungs(ladder("asha", min_resource=2, max_resource=32), None, 70) == [2, 8]


@pytest.mark.parametrize(
    ("made", "needed"),
    [
        (ladder("asha", reduction_factor=2, max_resource=9), 16),  # 1, 2, 4, 8
        (ladder("asha", reduction_factor=3, max_resource=9), 9),  # 1, 3
        (ladder("asha", reduction_factor=3), 1),
        (ladder("hyperband", max_resource=9), 1),
        (ladder("hyperband", max_resource=9, brackets=1), 9),
    ],
)
def test_trials_that_the_rungs_need(made: Ladder, needed: int) -> None:
    """As many as leave one above the last rung of the shortest bracket."""
    assert made.trials_needed == needed


def test_rungs_that_were_passed_over() -> None:
    """A trial that reports seldom reaches the highest rung that it has passed, each once."""
    made = ladder("asha", reduction_factor=2)
    assert [made.rung(None, steps, 0) for steps in (1, 3, 5, 10)] == [1, 2, 4, 8]
    assert made.rung(None, 10, 8) is None


def test_brackets_come_in_proportion_from_the_beginning() -> None:
    """Each bracket has its share of any number of trials, to within two of them."""
    made = ladder("hyperband", max_resource=81)
    counts: Counter[int | None] = Counter()
    for place in range(500):
        counts[made.bracket(place)] += 1
        for bracket, size in enumerate(made.weights):
            assert abs(counts[bracket] - (place + 1) * size / sum(made.weights)) < 2
    assert ladder("asha").bracket(3) is None
    assert ladder("hyperband", max_resource=81, brackets=1).bracket(3) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"type": "asha", "max_resource": 64}, [[1, 4, 16]]),
        ({"type": "asha"}, [[1, 4, 16, 64]]),
        ({"type": "asha", "mode": "stop"}, [[1, 4, 16, 64]]),
        ({"type": "hyperband", "max_resource": 9}, [[1, 3], [3], []]),
        ({"type": "hyperband", "min_iter": 5, "s": 2}, [[5, 15, 45, 135]]),
        ({"type": "patient", "patience": 2, "then": {"type": "asha"}}, [[1, 4, 16, 64]]),
    ],
)
def test_all_rungs_can_be_named(options: dict[str, Any], expected: list[list[int]]) -> None:
    """Before anything runs; where nobody knows the end, the first ones."""
    made = Ladder.described(spec_of("random", options).early_terminate)
    assert made is not None
    assert [made.rungs(bracket, 4) for bracket in range(len(made.lowest))] == expected
    assert Ladder.described(spec_of("random", {"type": "median"}).early_terminate) is None
