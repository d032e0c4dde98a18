"""The shuffled order of all configurations."""

from __future__ import annotations

from collections import Counter

import pytest

from sweep.search.permutation import permuted


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 17, 1000])
@pytest.mark.parametrize("seed", [0, 7])
def test_every_number_comes_once(size: int, seed: int) -> None:
    assert sorted(permuted(place, size, seed) for place in range(size)) == list(range(size))


def test_the_seed_decides_the_order() -> None:
    orders = {tuple(permuted(place, 50, seed) for place in range(50)) for seed in range(20)}
    assert len(orders) == 20
    assert tuple(range(50)) not in orders


def test_no_neighbourhood_is_left() -> None:
    """The first tenth of a shuffled order lies all over the range."""
    size = 10_000
    first = [permuted(place, size, 3) for place in range(size // 10)]
    assert 0.45 < sum(first) / len(first) / size < 0.55
    tenths = Counter(number * 10 // size for number in first)
    assert min(tenths[tenth] for tenth in range(10)) > 60


def test_a_range_without_end_in_sight_is_no_burden() -> None:
    assert 0 <= permuted(5, 10**15, 0) < 10**15


def test_no_place_beyond_the_end() -> None:
    with pytest.raises(ValueError, match="place 3 is not below 3"):
        permuted(3, 3, 0)
