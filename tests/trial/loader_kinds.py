"""Datasets, samplers and loaders of every kind, by name, for `test_loader_kinds`."""

from __future__ import annotations

import functools
import os
import random
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    WeightedRandomSampler,
    get_worker_info,
)

COUNT, EPOCHS = 12, 3

KILL_AFTER = 0
"""The number of steps after which the process kills itself; a test sets it in a child."""


def draw() -> float:
    """A number of all three global generators, rounded so that a batch of it is one tensor."""
    return round(random.random() + float(np.random.rand()) + torch.rand(()).item(), 6)


def share(order: list[int]) -> list[int]:
    """A worker's part of an order that all workers have."""
    worker = get_worker_info()
    return order if worker is None else order[worker.id :: worker.num_workers]


class Order(IterableDataset):
    """Draws its order at the start of a pass, as each library does it."""

    def __init__(self, how: str = "torch") -> None:
        self.how = how

    def __iter__(self) -> Iterator[Any]:
        if self.how == "torch":
            yield from torch.randperm(COUNT).tolist()
        elif self.how == "numpy":
            yield from np.random.permutation(COUNT).tolist()
        else:
            yield from random.sample(range(COUNT), COUNT)


class Plain(IterableDataset):
    """Draws nothing."""

    def __iter__(self) -> Iterator[Any]:
        return iter(range(COUNT))


class EagerOrder(Order):
    """Draws it when the iterator is made."""

    def __iter__(self) -> Iterator[Any]:
        return iter(torch.randperm(COUNT).tolist())


class Noise(IterableDataset):
    """Draws for each item."""

    def __iter__(self) -> Iterator[Any]:
        for index in share(list(range(COUNT))):
            yield [index, draw()]


class Buffer(IterableDataset):
    """A shuffle buffer, which draws in the middle of the pass, as often as it happens to."""

    def __iter__(self) -> Iterator[Any]:
        held: list[int] = []
        for index in share(list(range(COUNT))):
            held.append(index)
            if len(held) > 4 or random.random() < 0.3:
                yield held.pop(random.randrange(len(held)))
        while held:
            yield held.pop(int(np.random.randint(len(held))))


class Own(IterableDataset):
    """Generators of its own, in attributes, and a count of its passes."""

    def __init__(self) -> None:
        self.numpy, self.torch = np.random.default_rng(3), torch.Generator().manual_seed(3)
        self.transforms = [functools.partial(self.jitter, random.Random(3))]
        self.passes = 0

    def jitter(self, generator: random.Random, value: float) -> float:
        return value + generator.random()

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        for index in self.numpy.permutation(COUNT).tolist():
            noise = torch.rand((), generator=self.torch).item() + 100 * self.passes
            yield [index, round(self.transforms[0](noise), 6)]


class Placed(IterableDataset):
    """Says where it is, and draws for each item."""

    def __init__(self) -> None:
        self.at = 0

    def __iter__(self) -> Iterator[Any]:
        mine = share(list(range(COUNT)))
        while self.at < len(mine):
            self.at += 1
            yield [mine[self.at - 1], draw()]
        self.at = 0

    def state_dict(self) -> Any:
        return {"at": self.at}

    def load_state_dict(self, state: Any) -> None:
        self.at = state["at"]


class PlacedOrder(Placed):
    """Says where it is in an order that it does not say."""

    def __iter__(self) -> Iterator[Any]:
        order = torch.randperm(COUNT).tolist()
        while self.at < COUNT:
            self.at += 1
            yield order[self.at - 1]
        self.at = 0


class PlacedBoth(Placed):
    """Such an order, and noise for each item."""

    def __iter__(self) -> Iterator[Any]:
        order = np.random.permutation(COUNT).tolist()
        while self.at < COUNT:
            self.at += 1
            yield [order[self.at - 1], draw()]
        self.at = 0


class Start(Placed):
    """Is told where to begin, and counts from 0 in the next pass."""

    def __init__(self) -> None:
        self.start = self.at = 0

    def __iter__(self) -> Iterator[Any]:
        mine = share(list(range(COUNT)))
        for at in range(self.start, len(mine)):
            self.at = at + 1
            yield mine[at]

    def load_state_dict(self, state: Any) -> None:
        self.start = self.at = state["at"]


class Itself(Placed):
    """Is its own iterator, and changes a list in place."""

    def __iter__(self) -> Iterator[Any]:
        self.at, self.seen = 0, []
        return self

    def __next__(self) -> Any:
        if self.at >= COUNT:
            raise StopIteration
        self.at += 1
        self.seen.append(random.randrange(100))
        return [self.at, sum(self.seen)]

    def state_dict(self) -> Any:
        return {"at": self.at, "seen": self.seen}

    def load_state_dict(self, state: Any) -> None:
        self.at, self.seen = state["at"], state["seen"]


class Items(Dataset):
    """Draws random numbers to make an item."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        return [index, draw()]


class OwnItems(Items):
    """Has a generator, and makes another when it first needs it."""

    def __init__(self) -> None:
        self.rng, self.late, self.count = np.random.default_rng(1), None, 0

    def __getitem__(self, index: int) -> Any:
        if self.late is None:
            worker = get_worker_info()
            self.late = random.Random(0 if worker is None else worker.seed)
        return [index, round(float(self.rng.random()) + self.late.random(), 6)]


class CountingItems(Items):
    """Counts what it was asked for; in this process, where that has an order."""

    def __init__(self) -> None:
        self.count = 0

    def __getitem__(self, index: int) -> Any:
        self.count += 1
        return [index, self.count]


class PlacedItems(CountingItems):
    """Has a state of its own, and draws random numbers."""

    def __getitem__(self, index: int) -> Any:
        self.count += 1
        return [index, self.count + draw()]

    def state_dict(self) -> Any:
        return {"count": self.count}

    def load_state_dict(self, state: Any) -> None:
        self.count = state["count"]


class Drawn(Sampler):
    """Draws its order from the global generators."""

    def __init__(self, source: Any = None) -> None:
        self.passes = 0

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[int]:
        self.passes += 1
        return iter(random.sample(range(COUNT), COUNT - self.passes))


class Endless(Sampler):
    """Has no length, draws as it goes, and has a generator of its own and a count of passes."""

    def __init__(self) -> None:
        self.rng, self.passes = random.Random(5), 0

    def __iter__(self) -> Iterator[int]:
        self.passes += 1
        for _ in range(COUNT):
            yield (random.randrange(COUNT) + self.rng.randrange(3) + self.passes) % COUNT


class PlacedSampler(Sampler):
    """Has a state, with a length or without."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.at = 0

    def __iter__(self) -> Iterator[int]:
        if not self.at:
            self.order = torch.randperm(COUNT).tolist()
        while self.at < COUNT:
            self.at += 1
            yield self.order[self.at - 1]
        self.at = 0

    def state_dict(self) -> Any:
        return {"order": list(self.order), "at": self.at}

    def load_state_dict(self, state: Any) -> None:
        self.order, self.at = list(state["order"]), state["at"]


class PlacedSized(PlacedSampler):
    """The same with a length."""

    def __len__(self) -> int:
        return COUNT


class Batches(Sampler):
    """A batch sampler of one's own: batches of sizes that it draws."""

    def __iter__(self) -> Iterator[list[int]]:
        left = list(np.random.permutation(COUNT))
        while left:
            size = random.randint(1, 3)
            yield [int(index) for index in left[:size]]
            left = left[size:]


class SizedBatches(Batches):
    """The same with a length."""

    def __len__(self) -> int:
        return COUNT


def noisy(items: list[Any]) -> Any:
    """A collate function that draws random numbers."""
    return torch.utils.data.default_collate([[item, draw()] for item in items])


def alike(worker: int) -> None:
    """All workers draw alike, and so agree on an order."""
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(torch.initial_seed() - worker)


class Shared(IterableDataset):
    """Each worker takes its part of an order that all draw alike."""

    def __iter__(self) -> Iterator[Any]:
        yield from share(torch.randperm(COUNT).tolist())


def shuffled(**options: Any) -> dict[str, Any]:
    return {"dataset": Items(), "shuffle": True, **options}


WORKERS: dict[str, Any] = {"num_workers": 2}
LASTING: dict[str, Any] = {"num_workers": 2, "persistent_workers": True, "prefetch_factor": 3}

KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    # a pass of an iterable dataset
    "plain stream": lambda: {"dataset": Plain()},
    "order of torch": lambda: {"dataset": Order()},
    "order of numpy": lambda: {"dataset": Order("numpy")},
    "order of random": lambda: {"dataset": Order("random")},
    "order drawn with the iterator": lambda: {"dataset": EagerOrder()},
    "noise in a stream": lambda: {"dataset": Noise()},
    "shuffle buffer": lambda: {"dataset": Buffer()},
    "generators of a stream": lambda: {"dataset": Own()},
    "collate draws, stream": lambda: {"dataset": Order("random"), "collate_fn": noisy},
    "order, 1 worker": lambda: {"dataset": Order(), "num_workers": 1},
    "noise, 2 workers": lambda: {"dataset": Noise(), **WORKERS},
    "shuffle buffer, 2 workers": lambda: {"dataset": Buffer(), **WORKERS},
    "buffer, lasting workers": lambda: {"dataset": Buffer(), **LASTING},
    "generators, lasting workers": lambda: {"dataset": Own(), **LASTING, "num_workers": 1},
    "shared order": lambda: {"dataset": Shared(), **WORKERS, "worker_init_fn": alike},
    "shared order, lasting": lambda: {"dataset": Shared(), **LASTING, "worker_init_fn": alike},
    "collate draws, stream, workers": lambda: {"dataset": Buffer(), **WORKERS, "collate_fn": noisy},
    # with a state_dict
    "state, draws for each item": lambda: {"dataset": Placed()},
    "state without the order": lambda: {"dataset": PlacedOrder()},
    "state without order, noise": lambda: {"dataset": PlacedBoth()},
    "state, begins where told": lambda: {"dataset": Start()},
    "state, its own iterator": lambda: {"dataset": Itself()},
    "state, draws, 2 workers": lambda: {"dataset": Placed(), **WORKERS},
    "state without order, 1 worker": lambda: {"dataset": PlacedBoth(), "num_workers": 1},
    "state, start, 2 workers": lambda: {"dataset": Start(), **WORKERS},
    "state, itself, 1 worker": lambda: {"dataset": Itself(), "num_workers": 1},
    "state, lasting workers": lambda: {"dataset": Placed(), **LASTING},
    "state, snapshots": lambda: {"dataset": Placed(), **WORKERS, "snapshot_every_n_steps": 3},
    # map-style
    "items draw": lambda: shuffled(),
    "items draw, 1 worker": lambda: shuffled(num_workers=1),
    "items draw, 2 workers": lambda: shuffled(**WORKERS),
    "items draw, lasting workers": lambda: shuffled(**LASTING),
    "collate draws, workers": lambda: shuffled(**WORKERS, collate_fn=noisy),
    "generators of a dataset": lambda: shuffled(dataset=OwnItems()),
    "generators, 2 workers": lambda: shuffled(dataset=OwnItems(), **WORKERS),
    "counts": lambda: shuffled(dataset=CountingItems()),
    "items with a state": lambda: shuffled(dataset=PlacedItems()),
    "items with a state, 2 workers": lambda: shuffled(dataset=PlacedItems(), **WORKERS),
    # order
    "generator given": lambda: shuffled(generator=torch.Generator().manual_seed(2)),
    "generator given, 2 workers": lambda: shuffled(
        generator=torch.Generator().manual_seed(2), **WORKERS
    ),
    "weights": lambda: {
        "dataset": Items(),
        "sampler": WeightedRandomSampler([1.0] * COUNT, COUNT),
    },
    "sampler": lambda: {"dataset": Items(), "sampler": Drawn()},
    "sampler, 2 workers": lambda: {"dataset": Items(), "sampler": Drawn(), **WORKERS},
    "sampler without a length": lambda: {"dataset": Items(), "sampler": Endless()},
    "sampler without, workers": lambda: {"dataset": Items(), "sampler": Endless(), **LASTING},
    "sampler with a state": lambda: {"dataset": Items(), "sampler": PlacedSized()},
    "sampler with, no length": lambda: {"dataset": Items(), "sampler": PlacedSampler()},
    "sampler with, workers": lambda: {"dataset": Items(), "sampler": PlacedSampler(), **WORKERS},
    "batch sampler": lambda: {"dataset": Items(), "batch_sampler": SizedBatches()},
    "batch sampler, no length": lambda: {"dataset": Items(), "batch_sampler": Batches()},
    "batch sampler, workers": lambda: {
        "dataset": Items(),
        "batch_sampler": Batches(),
        **WORKERS,
    },
    "batch sampler, generator": lambda: {
        "dataset": Items(),
        "batch_sampler": BatchSampler(
            RandomSampler(range(COUNT), generator=torch.Generator().manual_seed(1)), 2, False
        ),
    },
}


class Pipe(torch.utils.data.IterDataPipe):
    """A data pipe."""

    def __iter__(self) -> Iterator[Any]:
        return iter(range(COUNT))


REFUSED: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "data pipe": (lambda: {"dataset": Pipe()}, "IterableDataset whose __iter__ returns iter"),
    "in_order=False": (lambda: shuffled(**WORKERS, in_order=False), "leave it out"),
    "items with a state, lasting workers": (
        lambda: shuffled(dataset=PlacedItems(), **LASTING),
        "persistent_workers=True .* leave it out",
    ),
}


def train(trial: Any) -> None:
    """Writes down what it sees, beside random numbers of its own."""
    options = KINDS[trial.params["kind"]]()
    if "batch_sampler" not in options:
        options.setdefault("batch_size", 2)
    loader = trial.loader(options.pop("dataset"), **options)
    trial.track()
    for epoch in trial.epochs(EPOCHS):
        for batch in loader:
            seen = [part.tolist() if hasattr(part, "tolist") else part for part in _flat(batch)]
            trial.state.setdefault("seen", []).append([epoch, *seen, draw()])
            trial.step()
            if trial.global_step == KILL_AFTER:
                trial.checkpoint(wait=True)
                os.kill(os.getpid(), signal.SIGKILL)


def _flat(batch: Any) -> list[Any]:
    if isinstance(batch, list | tuple):
        return [leaf for part in batch for leaf in _flat(part)]
    return [batch]
