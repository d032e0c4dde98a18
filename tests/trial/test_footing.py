"""Ranks that are out of step are found, those that are only ahead are not."""

from __future__ import annotations

import pytest

from sweep.trial.agreement import Place
from sweep.trial.footing import Footing, Standing, out_of_step

PLACE = Place("trial.step()", 0, 4, 0)


def standing(reached: int, before: int, by_now: int) -> Standing:
    return Standing(reached, PLACE, before, by_now)


@pytest.mark.parametrize(
    ("zero", "one", "found"),
    [
        ((3, 6, 6), (3, 6, 6), None),
        ((3, 6, 8), (3, 6, 6), None),  # both at work after the same safe point
        ((3, 6, 8), (4, 8, 8), None),  # rank 1 is there already, with as many
        ((9, 18, 20), (4, 8, 9), None),  # rank 0 is far ahead
        ((3, 6, 9), (4, 8, 8), "rank 1 has come to trial.step() (epoch 0, step 4) after 8 "),
        ((4, 8, 8), (3, 6, 9), "rank 0 has come to trial.step() (epoch 0, step 4) after 8 "),
        ((0, 0, 0), (0, 0, 5), None),
    ],
)
def test_table(zero: tuple[int, int, int], one: tuple[int, int, int], found: str | None) -> None:
    """Where two ranks are, and what is wrong with it."""
    said = out_of_step({0: standing(*zero), 1: standing(*one)})
    assert (said is None) if found is None else (said or "").startswith(found)


def test_collectives_are_counted_before_safe_points() -> None:
    """What is reached while somebody looks is not counted as not reached with more collectives."""
    called = [0]

    def collectives() -> int:
        called[0] += 1
        return called[0]

    footing = Footing(collectives)
    assert footing.standing() == Standing(0, None, 0, 1)
    footing.reach(PLACE)
    assert footing.standing() == Standing(1, PLACE, 2, 3)
