"""When a save is due."""

from __future__ import annotations

import pytest

from sweep.checkpoint.policy import Policy, Progress, due


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


@pytest.mark.parametrize("field", ["epochs", "steps", "seconds"])
@pytest.mark.parametrize("value", [0, -1])
def test_interval_must_be_positive(field: str, value: int) -> None:
    """An interval of nothing is refused by name."""
    with pytest.raises(ValueError, match=f"every {field} must be above 0"):
        Policy(**{field: value})
