"""The line of a Pareto front is the border of what it dominates."""

from __future__ import annotations

import pytest

from sweep.report.section.progress import stairs


@pytest.mark.parametrize(
    ("larger", "front", "drawn"),
    [
        (False, [(1, 3), (2, 1)], [(1, 3), (2, 3), (2, 1)]),  # both are minimised
        (False, [(1, 3), (2, 5)], [(1, 3), (2, 3), (2, 5)]),  # the second one is maximised
        (True, [(1, 3), (2, 1)], [(1, 3), (1, 1), (2, 1)]),  # both are maximised
        (True, [(1, 3), (2, 5)], [(1, 3), (1, 5), (2, 5)]),  # the first one is maximised
    ],
)
def test_a_corner_is_dominated_by_both_of_its_neighbours(
    larger: bool, front: list[tuple[float, float]], drawn: list[tuple[float, float]]
) -> None:
    """Never a value that no trial has reached."""
    assert stairs(front, larger=larger) == drawn
