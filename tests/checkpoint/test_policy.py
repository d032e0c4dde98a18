"""When a save is due."""

from __future__ import annotations

import math

import pytest

from sweep.checkpoint.policy import FLOOR_S, Policy, Progress, Tuning, due, improves, tuned


@pytest.mark.parametrize(
    ("policy", "since", "expected"),
    [
        (Policy(), Progress(epochs=9, steps=9, seconds=9.0), False),
        (Policy(epochs=2), Progress(epochs=1, steps=99), False),
        (Policy(epochs=2), Progress(epochs=2), True),
        (Policy(steps=100), Progress(epochs=3, steps=99), False),
        (Policy(steps=100), Progress(steps=150), True),
        (Policy(seconds=0.5), Progress(seconds=0.5), True),
        (Policy(epochs=5, steps=10, seconds=60), Progress(epochs=1, steps=10), True),
        (Policy(epochs=5, steps=10, seconds=60), Progress(epochs=1, steps=9, seconds=59), False),
    ],
)
def test_table(policy: Policy, since: Progress, expected: bool) -> None:
    """Of several intervals the first that is over decides; without any nothing is ever due."""
    assert due(policy, since) is expected


@pytest.mark.parametrize(
    ("policy", "since", "expected"),
    [
        (Policy(overhead=0.02), Progress(seconds=29.9), False),
        (Policy(overhead=0.02), Progress(seconds=30.0), True),
        (Policy(overhead=0.02, epochs=1), Progress(epochs=5, seconds=29.0), False),
        (Policy(overhead=0.02, epochs=2), Progress(epochs=1, seconds=99.0), False),
        (Policy(overhead=0.02, epochs=2), Progress(epochs=2, seconds=30.0), True),
    ],
)
def test_overhead_table(policy: Policy, since: Progress, expected: bool) -> None:
    """The tuned interval (30 s here) holds saves back; alone, it makes them."""
    assert due(policy, since, 30.0) is expected


@pytest.mark.parametrize(
    ("costs", "intervals"),
    [
        ([0.1, 0.1, 0.1], [5.0, 5.0, 5.0]),
        ([0.0, 0.0], [FLOOR_S, FLOOR_S]),  # free, yet not made at every step
        ([0.1, 10.0, 0.1, 0.1], [5.0, 20.0, 80.0, 66.875]),  # one slow save: four times at most
        ([0.1, 1.0, 1.0, 1.0, 1.0], [5.0, 20.0, 38.75, 44.375, 47.1875]),  # a busier machine
        ([1.0, 0.1, 0.1, 0.1], [50.0, 27.5, 16.25, 10.625]),  # an idle one again
        ([10.0, 0.0, 0.0], [500.0, 250.0, 125.0]),  # half at most
    ],
)
def test_tuning_table(costs: list[float], intervals: list[float]) -> None:
    """Costs in, intervals at 2 % out: smoothed, bounded, and near the new one in a few saves."""
    tuning: Tuning | None = None
    for cost, interval in zip(costs, intervals, strict=True):
        tuning = tuned(tuning, cost, 0.02)
        assert tuning.interval == pytest.approx(interval)


@pytest.mark.parametrize(
    ("value", "best", "maximize", "expected"),
    [
        (1.0, None, False, True),
        (math.nan, None, False, False),
        (1.0, 1.0, False, False),
        (0.9, 1.0, False, True),
        (0.9, 1.0, True, False),
        (-math.inf, 1.0, False, False),
        (math.inf, None, True, False),
    ],
)
def test_improves(value: float, best: float | None, maximize: bool, expected: bool) -> None:
    """Only what is strictly better improves; NaN and what nothing beats never do."""
    assert improves(value, best, maximize=maximize) is expected


@pytest.mark.parametrize("field", ["epochs", "steps", "seconds"])
@pytest.mark.parametrize("value", [0, -1])
def test_interval_must_be_positive(field: str, value: int) -> None:
    """An interval of nothing is refused by name."""
    with pytest.raises(ValueError, match=f"every {field} must be above 0"):
        Policy(**{field: value})
