"""What each of several processes gets of a loader's samples."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch.utils.data import BatchSampler, DistributedSampler, RandomSampler, WeightedRandomSampler

from sweep.errors import UsageError
from sweep.trial.loader import Loader
from sweep.trial.position import LoaderPosition
from sweep.trial.registry import Registry


def passes(rank: int, size: int, count: int = 10, **options: Any) -> list[list[int]]:
    """The samples of each batch of two passes, as process ``rank`` of ``size`` gets them."""
    random.seed(rank)
    torch.manual_seed(rank)  # the global generators differ from rank to rank
    loader = Loader(
        list(range(count)),
        LoaderPosition("a"),
        Registry(lambda: None),
        7,
        share=(rank, size),
        **options,
    )
    found = [[batch.tolist() for batch in loader] for _ in range(2)]
    assert [len(each) for each in found] == [len(loader)] * 2
    return [batch for each in found for batch in each]


def flat(batches: list[list[int]]) -> list[int]:
    return [index for batch in batches for index in batch]


@pytest.mark.parametrize("shuffle", [False, True])
def test_ranks_share_the_common_order(shuffle: bool) -> None:
    """Dealt out like cards, the samples of all ranks are those that one process would get."""
    alone = flat(passes(0, 1, batch_size=4, shuffle=shuffle))
    zero, one = (flat(passes(rank, 2, batch_size=2, shuffle=shuffle)) for rank in (0, 1))
    assert [index for pair in zip(zero, one, strict=True) for index in pair] == alone


def test_a_remainder_begins_again() -> None:
    """Where the samples are not a multiple of the ranks, the first ones come twice."""
    found = [flat(passes(rank, 4, batch_size=2))[:3] for rank in range(4)]
    assert found == [[0, 4, 8], [1, 5, 9], [2, 6, 0], [3, 7, 1]]
    assert [flat(passes(rank, 3, count=1))[:1] for rank in range(3)] == [[0], [0], [0]]


def test_a_sampler_is_drawn_alike_by_all() -> None:
    """A sampler without a generator of its own gives one order, whatever the ranks have drawn."""

    def dealt(rank: int) -> list[int]:
        weights = torch.arange(1.0, 11.0)
        return flat(passes(rank, 2, sampler=WeightedRandomSampler(weights, 10)))

    alone = flat(passes(0, 1, sampler=WeightedRandomSampler(torch.arange(1.0, 11.0), 10)))
    together = [index for pair in zip(dealt(0), dealt(1), strict=True) for index in pair]
    assert len(together) == len(alone)
    assert dealt(1) == dealt(1)
    torch.manual_seed(5)
    first, second = (
        flat(passes(rank, 2, batch_sampler=BatchSampler(RandomSampler(range(10)), 5, False)))
        for rank in (0, 1)
    )
    assert sorted(first[:5] + second[:5]) == list(range(10))


def test_draws_for_batches_differ() -> None:
    """Random augmentation in worker processes is not the same in two ranks."""

    class Noise(torch.utils.data.Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.rand(())

    def drawn(rank: int) -> list[float]:
        loader = Loader(
            Noise(),
            LoaderPosition("a"),
            Registry(lambda: None),
            7,
            share=(rank, 2),
            num_workers=1,
        )
        return [batch.item() for batch in loader]

    assert drawn(0) != drawn(1)


def test_a_distributed_sampler_is_refused() -> None:
    """Samples would be shared out twice."""
    sampler = DistributedSampler(range(10), num_replicas=2, rank=0)
    with pytest.raises(UsageError, match="leave the DistributedSampler out"):
        passes(0, 2, sampler=sampler)
