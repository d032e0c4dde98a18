"""The trial, as user code sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.trial.metric import Report, as_metrics
from sweep.trial.params import Params
from sweep.trial.session import Session

if TYPE_CHECKING:
    from sweep.trial.loader import Loader


class Trial:
    """One set of hyperparameters, and the thread by which its training can be picked up again.

    A study hands it to the trial function::

        def train(trial):
            model = Net(trial.params.width)
            optimizer = torch.optim.Adam(model.parameters(), lr=trial.params.lr)
            loader = trial.loader(dataset, batch_size=64, shuffle=True)
            trial.track(model=model, optimizer=optimizer)
            for epoch in trial.epochs(20):
                for x, y in loader:
                    ...
                    trial.step()
                trial.report(accuracy=evaluate(model))

    The function may be killed at any moment. It is then called again from its first line; `track`
    puts the saved state into the objects, `epochs` and the loader go on with the next epoch or
    batch, and the random generators are where they were. The result is that of an uninterrupted
    run, to the bit, if the function keeps to this:

    - What changes during training is tracked, or lies in `state`. Local variables, such as a sum
      over the batches of an epoch, begin anew; `state` is the place for one that must not.
    - The code before the loop is the same each time. It may draw random numbers.
    - `step` is the last thing done for a batch; gradients are not saved, so where several batches
      are accumulated it is called once for all of them, after the optimizer's step.

    The function may return nothing, a mapping of final metrics, or a number, which is the study's
    metric. An exception fails the attempt; it is repeated from the last checkpoint if the study
    has ``retries`` left.

    Without a study, in a unit test for example, `Trial.offline` makes one.

    Attributes:
        params: the hyperparameters: ``trial.params.lr`` or ``trial.params["lr"]``, read-only.
            A conditional one that does not apply is absent (``"momentum" in trial.params``).
        number: the number of the trial in its study, from 0.
        seed: the trial's own seed, of 32 bits, which follows from the study's seed and `number`.
            ``random``, ``numpy.random`` and ``torch`` are seeded with it before the function is
            called; generators of your own may use it, and can be tracked.
        log: a logger for this trial; with a driver its messages go to the trial's log file.
    """

    def __init__(
        self,
        session: Session,
        params: Mapping[str, Any],
        *,
        number: int,
        seed: int,
        log: logging.Logger,
        directory: Callable[[], Path],
    ) -> None:
        """Studies and `offline` make trials; ``directory`` creates the scratch directory."""
        self.params = Params(params)
        self.number, self.seed, self.log = number, seed, log
        self._session, self._make_directory = session, directory
        self._directory: Path | None = None

    @classmethod
    def offline(
        cls, params: Mapping[str, Any], seed: int = 0, directory: str | Path | None = None
    ) -> Trial:
        """A trial without a study, to call a trial function with on its own.

        Everything works as in a study, except that nothing is saved, pruned or stopped::

            trial = Trial.offline({"lr": 0.1})
            train(trial)
            assert trial.reports[-1]["accuracy"] > 0.5

        Args:
            params: the hyperparameters.
            seed: the seed of a study. The global generators are seeded as in trial 0 of it.
            directory: the scratch directory (`directory`). By default a temporary one is made
                when it is first asked for, and removed with the trial.
        """
        from sweep.trial.offline import offline_parts

        session, number, trial_seed, log, make = offline_parts(seed, directory)
        return cls(session, params, number=number, seed=trial_seed, log=log, directory=make)

    def track(self, **objects: Any) -> None:
        """Save these objects with every checkpoint; on a resume, restore them now.

        Args:
            objects: what has ``state_dict()`` and ``load_state_dict()``, under names of your
                choice: modules, optimizers, schedules, gradient scalers, averaged models. Also
                ``numpy.random.Generator`` and ``torch.Generator``. Loaders made by `loader` are
                tracked without being named. The states may hold tensors, arrays, numbers, strings,
                bytes and containers of these.

        Call it once the objects are complete and before they are used; several calls are fine.
        A trial that never calls it, and leaves `state` empty, is not saved and starts from scratch
        after an interruption. If a position is all there is to save, call it with nothing.

        Raises:
            TypeError: an object has no ``state_dict``.
            CheckpointMismatchError: the checkpoint does not fit the object. A difference in names
                is found at the first safe point.
        """
        loaders = self._session.loaders
        self._session.tracker.track(
            {name: value for name, value in objects.items() if not loaders.owns(value)}
        )
        self._session.rewind()

    def epochs(self, count: int) -> Epochs:
        """Iterate over the epochs 0 to ``count`` - 1 that are still to be done.

        The end of each epoch is a safe point: the trial may be saved, stopped or pruned there. On
        a resume in the middle of an epoch that epoch comes again, and a `loader` goes on with its
        next batch. An epoch that was left with ``break`` counts if it has reported.

        ``count`` is the number of epochs of the trial in all: a second loop, for another phase of
        training, goes on where the first one ended (``epochs(5)``, then ``epochs(8)`` for three
        more).
        """
        if count < 0:
            raise ValueError(f"trial.epochs: the number of epochs must be 0 or more, not {count}")
        return Epochs(self._session, count)

    def step(self) -> None:
        """Say that one training step is complete: a safe point, to be called last in the loop.

        Here the trial may be saved or stopped. It costs microseconds where nothing is due, and
        where something is, a copy of the tracked state; it is written behind the training.

        In the middle of an epoch a trial is saved only while a loader made by `loader` is being
        iterated, since the epoch would otherwise start again from its beginning. With loops over
        loaders inside each other, call it in the outer one.

        Raises:
            CheckpointError: an earlier checkpoint could not be written.
        """
        self._session.step()

    def report(self, **metrics: Any) -> None:
        """Report metrics, such as ``trial.report(loss=0.3, accuracy=0.9)``.

        Inside of `epochs` they belong to the epoch: its index is the step, and several reports in
        one epoch are merged. Without epochs steps count up from 0, one for each report, and every
        report is a safe point.

        Args:
            metrics: numbers, or tensors or arrays with one element. NaN is allowed.

        Raises:
            TypeError: a metric is no number; names it.
        """
        if not metrics:
            raise TypeError("trial.report: at least one metric is needed, as in report(loss=0.3)")
        self._session.report(as_metrics(metrics))

    def fork(self, **params: Any) -> None:
        """Add a trial that goes on from here with other parameters: ``trial.fork(lr=0.01)``.

        It is made at the next safe point: the trial is saved there, durably, and the new one goes
        on from that checkpoint, at the cost of a manifest; this one goes on as if nothing had been.
        The state, the position and the random generators are those of the checkpoint. A
        hyperparameter that an optimizer or a schedule was built from has its new effect (see
        `sweep.trial.born`).

        A fork asked for by code that runs again after a resume is made once. It does not count
        towards ``trials``. Parameters that the space does not have are refused by the study, which
        says so in its log and goes on. Without a study, as in `offline`, nothing happens.

        Raises:
            UsageError: nothing is tracked, so there is nothing to go on from.
        """
        self._session.fork(params)

    def loader(self, dataset: Any, *, name: str | None = None, **options: Any) -> Loader:
        """A torch data loader whose every batch is a place to go on from.

        Args:
            dataset: as for ``torch.utils.data.DataLoader``.
            name: names its position in checkpoints. By default the order of creation does, so give
                one where the loaders that are made depend on more than ``params``.
            options: everything that ``DataLoader`` takes: ``batch_size``, ``shuffle``,
                ``sampler``, ``num_workers``, ``collate_fn``, ...

        Returns:
            A ``torchdata.stateful_dataloader.StatefulDataLoader``. The order of each epoch follows
            from `seed`, the name and the epoch. On a resume in the middle of an epoch the pass
            that was under way goes on; a pass of training that was over yields nothing; one without
            `step`, an evaluation, runs again. Random augmentation is repeated exactly, in worker
            processes too. An ``IterableDataset`` must have ``state_dict`` and ``load_state_dict``
            to be that exact; others are run ahead to their place.

        Raises:
            UsageError: another loader has the name.
        """
        from sweep.trial.loader import Loader

        loaders = self._session.loaders
        position = loaders.position(name)
        made = Loader(dataset, position, loaders, self.seed, **options)
        loaders.add(position.name, made)
        return made

    @property
    def state(self) -> MutableMapping[str, Any]:
        """Values of your own that are saved and restored: numbers, strings, lists, arrays, ...

        ::

            best = trial.state.get("best", 0.0)

        A loop that is not one over `epochs` keeps its place here. Where nothing is tracked, the
        random generators are restored when this is first read: do so right before the loop.
        """
        self._session.state_read()
        return self._session.state

    @property
    def global_step(self) -> int:
        """How often `step` was called, interrupted attempts included."""
        return self._session.position.global_step

    @property
    def reports(self) -> Sequence[Report]:
        """What this attempt has reported: for each step a dict of metrics with a ``step``."""
        return self._session.reports

    @property
    def directory(self) -> Path:
        """A scratch directory for this attempt, made when first asked for. It is not restored."""
        if self._directory is None:
            self._directory = self._make_directory()
        return self._directory

    def __repr__(self) -> str:
        return f"Trial(number={self.number}, params={dict(self.params)!r})"


class Epochs:
    """Made by `Trial.epochs`: the epochs still to be done; ``len`` is how many."""

    def __init__(self, session: Session, count: int) -> None:
        self._session, self._count = session, count

    def __iter__(self) -> Iterator[int]:
        return self._session.epochs(self._count)

    def __len__(self) -> int:
        return max(0, self._count - self._session.position.epoch)
