"""The data loader of a trial: torchdata's, with passes that can be found again to the bit.

This module loads torch; `Trial.loader` imports it on use.

What torchdata saves of a map-style dataset is not enough to go on exactly: on resume its shared
generator has made other draws, so the next epoch is shuffled otherwise, and its worker processes
start their random numbers anew in the middle of an epoch. So here the order of a pass is drawn
once, from a generator seeded with (trial, loader, epoch, pass), and each batch that a worker makes
has a seed of its own. A resumed pass is then the same pass without its first batches. For
iterable datasets (`sweep.trial.stream`), and for datasets with a state_dict of their own, torchdata
carries the state. What is not exact is refused when the loader is made.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch.utils.data import IterableDataset, IterDataPipe, MapDataPipe
from torch.utils.data.distributed import DistributedSampler
from torchdata.stateful_dataloader import StatefulDataLoader

from sweep.checkpoint import rng
from sweep.errors import CheckpointMismatchError, UsageError
from sweep.trial.innards import Innards
from sweep.trial.order import Order, index_source
from sweep.trial.position import LoaderPosition, Start
from sweep.trial.seeded import SeededDataset, StatefulSeededDataset, WorkerStart
from sweep.trial.seeding import derive
from sweep.trial.stream import Stream, base_of, is_stateful


class Scope(Protocol):
    """What a loader must know of its trial."""

    @property
    def epoch(self) -> int | None:
        """The epoch that runs, None outside of `Trial.epochs`."""

    def resumed(self, number: int) -> None:
        """A pass, the ``number``-th, is about to go on in the middle: all generators go back to the
        checkpoint."""


class Loader(StatefulDataLoader):  # type: ignore[misc]
    """Made by `Trial.loader`. A `torch.utils.data.DataLoader` in every other respect."""

    def __init__(
        self,
        dataset: Any,
        position: LoaderPosition,
        scope: Scope,
        seed: int,
        *,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        generator: torch.Generator | None = None,
        share: tuple[int, int] = (0, 1),
        **options: Any,
    ) -> None:
        """``seed`` is the trial's; the rest is as in `torch.utils.data.DataLoader`.

        ``share``: the number of this process of the trial, and how many there are.
        """
        if isinstance(sampler, DistributedSampler):
            raise UsageError(
                "trial.loader: gives each process its share of the samples by itself; leave the "
                "DistributedSampler out"
            )
        if sampler is not None and shuffle:
            raise ValueError("trial.loader: give either a sampler or shuffle=True")
        iterable = isinstance(dataset, IterableDataset)
        _check(dataset, options)
        drawn = torch.Generator()
        order = None
        if iterable:
            options |= {"sampler": sampler, "batch_sampler": batch_sampler, "shuffle": shuffle}
        elif batch_sampler is not None:
            order = Order(batch_sampler, drawn, each=1, share=share)
            options |= {"batch_sampler": order, "sampler": sampler, "shuffle": shuffle}
        else:
            source = sampler or index_source(dataset, bool(shuffle), generator)
            order = Order(source, drawn, each=batch_size or 1, share=share)
            options["sampler"] = order
        with warnings.catch_warnings():
            # torchdata 0.11 calls what torch 2.13 deprecates; users can do nothing about it.
            warnings.filterwarnings("ignore", "'set_vital' is deprecated")
            super().__init__(dataset, batch_size=batch_size, generator=drawn, **options)
        # Our own position suffices, unless the dataset moves on by itself.
        self._exact = not iterable and not hasattr(dataset, "state_dict")
        self._iterable, self._plainly = iterable, False
        self._base = torch.zeros((), dtype=torch.int64)
        if self.num_workers > 0 and iterable:
            self._base.share_memory_()  # type: ignore[no-untyped-call]
        self._innards = Innards(dataset=dataset, collate=self.collate_fn)
        self._begun: Any = None
        self._stream: Stream | None = None
        self._position, self._scope, self._seed = position, scope, seed
        self._drawn, self._order, self._share = drawn, order, share
        self._running: Start | None = None
        self._opened = False
        self.restore_source()

    def __iter__(self) -> Iterator[Any]:
        self._running, self._opened = self._position.begin(self._scope.epoch), False
        return _Pass(self, self._running)

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, as a checkpoint holds it."""
        inner = None
        if self._running is not None and self._running.current:
            inner = self._inner_state() if self._opened else self._running.inner
        sampler = None if self._order is None else self._order.state()
        own = self._innards.capture()
        return self._position.capture(inner, {"sampler": sampler, "own": own})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from ``state_dict`` with the next pass. A trial does this by itself."""
        self._position.resume(state_dict, self._scope.epoch is not None)
        self.restore_source()

    def restore_source(self) -> None:
        """Put what dataset and sampler hold beside their data back to where it was saved."""
        source = self._position.source
        if source is None:
            return
        if isinstance(source, list):  # an older version's
            source = {"sampler": source, "own": None}
        goes_on = self._position.goes_on
        if self._order is not None and source["sampler"] is not None:
            self._order.restore(source["sampler"], goes_on=goes_on)
        # The middle of an iterable dataset is found again from the start of its pass.
        if source["own"] is not None and not (goes_on and self._iterable):
            self._innards.restore(source["own"])

    def open(self, start: Start) -> Iterator[Any]:
        """The batches of a pass, from where it starts."""
        self._opened = True
        if not start.resumed:
            return self._open(start)
        # The pass was opened before the checkpoint, so opening it again must draw nothing.
        state = rng.capture()
        batches = self._open(start)
        rng.restore(state, self._seed)
        self._scope.resumed(start.number)
        return batches

    def release(self, start: Start | None = None) -> None:
        """The pass ``start`` (by default, whichever runs) is over: let its workers end."""
        if start is None or start is self._running:
            self._running = None
            if start is None or not self.persistent_workers:
                self._iterator = None

    def _open(self, start: Start) -> Iterator[Any]:
        seed = derive("pass", self._seed, self._position.name, start.epoch, start.number)
        rank, size = self._share
        # The order is common to all processes of a trial; what is drawn to make a batch is not.
        own = derive("rank", seed, rank) if size > 1 else seed
        self._drawn.manual_seed(seed)
        self._base.fill_(base_of(own))
        inner = start.inner or {}
        if self._order is not None:
            skip = start.batches if self._exact else 0
            tag = own if self.num_workers > 0 else None
            self._order.begin(skip, tag, inner.get("order"), inner.get("sampler"))
        if size > 1:
            self._drawn.manual_seed(own)
        # An older version let an iterable dataset draw with the trial's own generators.
        self._plainly = start.resumed and "torchdata" in inner and "begun" not in inner
        self._begin_innards(inner.get("begun") if start.resumed else None)
        goes_on = start.resumed and "torchdata" in inner
        if start.resumed and not self._exact:
            self._check_workers(inner)
        if goes_on:
            super().load_state_dict(inner["torchdata"])
        lasting: Any = self._iterator
        if lasting is not None:  # workers that make another pass: torchdata saves this seed
            lasting._base_seed = int(self._base)
        batches = super().__iter__()
        if start.resumed and not self._exact and not goes_on:
            self._run_ahead(batches, start.batches)
        return batches  # type: ignore[no-any-return]

    def _begin_innards(self, begun: Any) -> None:
        if self._iterable:
            if begun is not None:
                self._innards.restore(begun)
            self._begun = begun or self._innards.capture()

    def _run_ahead(self, batches: Iterator[Any], number: int) -> None:
        """To where an older version was saved, which did not say what the dataset drew."""
        draws = None if self._stream is None or self.num_workers else self._stream.draws
        before = None if draws is None else draws.state
        for _ in range(number):
            next(batches, None)
        if draws is not None and draws.state != before:
            raise CheckpointMismatchError(
                f"loader {self._position.name!r} was saved in the middle of a pass by an older "
                "sweep, and its dataset draws random numbers: its items cannot be found again; "
                "fork a checkpoint of the end of an epoch (sweep show lists them)"
            )

    def _inner_state(self) -> dict[str, Any]:
        """What the pass that runs needs besides its position."""
        state: dict[str, Any] = {"workers": self.num_workers}
        if self._order is not None:
            if self._order.plan is not None:
                state["order"] = self._order.plan
            if self._order.start is not None:
                state["sampler"] = self._order.start
        if not self._exact:
            state["torchdata"] = super().state_dict()
            if not self._plainly:
                state["begun"] = self._begun
        return state

    def _check_workers(self, inner: dict[str, Any]) -> None:
        if inner["workers"] != self.num_workers:
            raise CheckpointMismatchError(
                f"loader {self._position.name!r} was saved in the middle of a pass with "
                f"num_workers={inner['workers']} and is now made with {self.num_workers}; "
                "a dataset with a state of its own needs the same number"
            )

    def _get_iterator(self) -> Any:
        stands_for = self._stand_in()
        if stands_for is None:
            return super()._get_iterator()
        # Only torch's own iterator sees these; DataLoader forbids the plain assignment.
        names = ("dataset", "collate_fn", "worker_init_fn")
        before = {name: self.__dict__[name] for name in names}
        self.__dict__.update(zip(names, stands_for, strict=True))
        try:
            return super()._get_iterator()
        finally:
            self.__dict__.update(before)

    def _stand_in(self) -> tuple[Any, Any, Any] | None:
        """What stands for the dataset, collate function and start of the workers, if anything."""
        dataset, collate = self.dataset, self.collate_fn
        start = WorkerStart(dataset, self.worker_init_fn) if self.num_workers else None
        self._stream = None
        if self._iterable and not self._plainly:
            persistent = self.persistent_workers
            stream = Stream(dataset, collate, start, self._base, persistent=persistent)
            self._stream = stream
            return stream, stream.collate, start
        if self._iterable or not self.num_workers:
            return None
        stateful = is_stateful(dataset)
        seeded = (StatefulSeededDataset if stateful else SeededDataset)(dataset, collate)
        return seeded, collate, start


class _Pass(Iterator[Any]):
    """One pass over a loader. Ends when it is exhausted or no longer referred to (a break)."""

    def __init__(self, loader: Loader, start: Start) -> None:
        self._start = start
        self._loader = loader
        self._batches: Iterator[Any] | None = None
        self._closed = False

    def __next__(self) -> Any:
        if self._closed or self._start.skip:
            self.close()
            raise StopIteration
        if self._batches is None:
            self._batches = self._loader.open(self._start)
        try:
            batch = next(self._batches)
        except StopIteration:
            self.close()
            raise
        self._start.advance()
        return batch

    def __len__(self) -> int:
        return len(self._loader)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._batches = None
            self._start.end()
            self._loader.release(self._start)

    def __del__(self) -> None:
        self.close()


def _check(dataset: Any, options: dict[str, Any]) -> None:
    """Refuse what could not be resumed exactly.

    Raises:
        UsageError: says what to do instead.
    """
    workers = options.get("num_workers", 0)
    if isinstance(dataset, IterDataPipe | MapDataPipe):
        raise UsageError(
            "trial.loader: a data pipe cannot be resumed exactly; give it an IterableDataset whose "
            "__iter__ returns iter(pipe), or a dataset"
        )
    if workers and not options.get("in_order", True):
        raise UsageError(
            "trial.loader: in_order=False gives batches in an order that depends on timing, so "
            "no pass can be resumed exactly; leave it out"
        )
    if (
        workers
        and options.get("persistent_workers")
        and is_stateful(dataset)
        and not isinstance(dataset, IterableDataset)
    ):
        raise UsageError(
            "trial.loader: persistent_workers=True keeps the state of the dataset (it has a "
            "state_dict) in processes, where the end of an epoch cannot save it; leave it out"
        )
