"""Map-style datasets in worker processes: each batch is made with the seed that it carries.

Loads torch; see `sweep.trial.loader`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from torch.utils.data import get_worker_info

from sweep.checkpoint import rng
from sweep.trial.innards import Innards


class Tagged(NamedTuple):
    """The first index of a batch, with the seed that its worker is to use."""

    seed: int
    index: Any


class SeededDataset:
    """Stands for a dataset in a worker process.

    Seeded are the global generators and those that the dataset and the collate function hold. A
    batch in whose making a generator came up is made again: that one began with its worker.
    """

    def __init__(self, dataset: Any, collate: Any) -> None:
        self._dataset, self._collate = dataset, collate

    def __len__(self) -> int:
        return len(self._dataset)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, Tagged):
            return self._dataset[index]
        return self._seeded(index.seed, lambda: self._dataset[index.index])

    def __getitems__(self, batch: list[Any]) -> Any:
        indices = [index.index if isinstance(index, Tagged) else index for index in batch]
        together = getattr(self._dataset, "__getitems__", None)

        def make() -> Any:
            return together(indices) if together else [self._dataset[index] for index in indices]

        if batch and isinstance(batch[0], Tagged):
            return self._seeded(batch[0].seed, make)
        return make()

    def _seeded(self, seed: int, make: Callable[[], Any]) -> Any:
        known = self._seed(seed)
        made = make()
        if not self._innards().generators().keys() <= known:
            self._seed(seed)
            made = make()
        return made

    def _seed(self, seed: int) -> set[str]:
        rng.seed(seed)
        return self._innards().seed(seed)

    def _innards(self) -> Innards:
        return Innards(dataset=self._dataset, collate=self._collate)


class StatefulSeededDataset(SeededDataset):
    """The same for a dataset with a state of its own."""

    def state_dict(self) -> Any:
        """A copy: torchdata compares it with the one before, and would miss changes in place."""
        return copy.deepcopy(self._dataset.state_dict())

    def load_state_dict(self, state: Any) -> None:
        self._dataset.load_state_dict(state)


def set_info(name: str, value: Any) -> None:
    """Set an attribute of what ``get_worker_info()`` gives, which forbids the plain assignment."""
    object.__setattr__(get_worker_info(), name, value)


class WorkerStart:
    """The beginning of a worker process: user code there finds its own dataset, not a stand-in."""

    def __init__(self, dataset: Any, then: Callable[[int], Any] | None) -> None:
        self._dataset, self._then = dataset, then

    def __call__(self, worker: int) -> None:
        set_info("dataset", self._dataset)
        if self._then is not None:
            self._then(worker)
