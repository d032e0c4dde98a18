"""The trial, as user code sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sweep.checkpoint.metric import as_metrics
from sweep.errors import UsageError
from sweep.trial.metric import Report
from sweep.trial.once import Once, Scope
from sweep.trial.params import Params
from sweep.trial.session import Session

if TYPE_CHECKING:
    from sweep.checkpoint.record import CheckpointRecord
    from sweep.trial.loader import Loader

T = TypeVar("T")


class Spawn(Protocol):
    """Port to the processes of `Trial.spawn`."""

    def __call__(
        self, function: Callable[[Any], Any], size: int, backend: str
    ) -> dict[str, float] | None: ...


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
    - `step` is the last thing done for a batch. Gradients that wait for the optimizer's step, since
      several batches are accumulated, are saved with a checkpoint that is taken in between.

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
        rank, world_size: in a function given to `spawn`, the number of the process, from 0, and how
            many there are; 0 and 1 elsewhere.
    """

    def __init__(
        self,
        session: Session,
        params: Mapping[str, Any],
        *,
        once: Once,
        number: int,
        seed: int,
        log: logging.Logger,
        directory: Callable[[], Path],
        spawn: Spawn,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Studies and `offline` make trials; ``directory`` creates the scratch directory."""
        self.rank, self.world_size, self._spawn = rank, world_size, spawn
        self.params = Params(params)
        self.number, self.seed, self.log = number, seed, log
        self._session, self._once, self._make_directory = session, once, directory
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

        session, once, own, log, make, spawn = offline_parts(params, seed, directory)
        return cls(
            session, params, once=once, number=0, seed=own, log=log, directory=make, spawn=spawn
        )

    def track(self, *unnamed: Any, **objects: Any) -> None:
        """Save these objects with every checkpoint; on a resume, restore them now.

        Args:
            unnamed: objects that are named by their classes: ``trial.track(model, optimizer)``.
                A dict is one of objects by name.
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
            UsageError: two objects have one name, or two without a name one class.
            CheckpointMismatchError: the checkpoint does not fit the object. A difference in names
                is found at the first safe point.
        """
        given = {
            name: value for each in unnamed if type(each) is dict for name, value in each.items()
        }
        owns = self._session.loaders.owns
        alone = [each for each in unnamed if type(each) is not dict and not owns(each)]
        by_class = self._session.tracker.named(alone)
        twice = (given.keys() & by_class.keys()) | (
            (given.keys() | by_class.keys()) & objects.keys()
        )
        if twice:
            raise UsageError(f"trial.track: {min(twice)!r} is the name of two objects")
        self._session.track({**given, **by_class, **objects})

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
        where something is, a copy of the tracked state; it is written behind the training. It never
        waits for a save in flight: what comes due meanwhile is saved at the first safe point after
        it, or (``in_flight: replace``) in its stead. With ``deterministic: true`` it waits, so
        that timing never decides which checkpoints exist. The ends of epochs do wait, so that which
        checkpoints ``every: {epochs: n}`` makes does not depend on how fast the disk is.

        In the middle of an epoch a trial is saved only while a loader made by `loader` is being
        iterated, since the epoch would otherwise start again from its beginning. With loops over
        loaders inside each other, call it in the outer one.

        Raises:
            CheckpointError: an earlier checkpoint could not be written.
        """
        self._session.step()

    def checkpoint(
        self, *, wait: bool = False, then: Callable[[CheckpointRecord], object] | None = None
    ) -> str | None:
        """Save now, whatever the study's policy says; a full checkpoint.

        Call it where `step` could stand: after it, or between reports where there are no epochs.
        Elsewhere (after the loop over a loader, say) the code that runs could not be found again
        from what is saved, so the next safe point, such as the end of the epoch, saves instead.

        Args:
            wait: return when it is durable, instead of writing it behind the training. Where the
                next safe point saves instead, that one returns when it is durable.
            then: called with the checkpoint's record once it is durable: in the training thread, at
                the first safe point after that (or before the trial leaves or ends), since in the
                thread that saves it would meet objects in the middle of a training step. What it
                raises is raised there.

        Returns:
            The id, such as ``3@7.420``, which may not be durable yet; None where nothing is saved
            here: the next safe point will, or the trial is `offline`, or tracks nothing.

        Raises:
            CheckpointError: it (with ``wait``) or an earlier checkpoint could not be written.
        """
        return self._session.checkpoint(wait=wait, then=then)

    @property
    def last_checkpoint(self) -> str | None:
        """Id of the newest durable checkpoint, the one gone on from included; None without one."""
        return self._session.last_checkpoint

    def report(self, values: Mapping[str, Any] | Any = None, /, **metrics: Any) -> None:
        """Report metrics: ``trial.report(loss=0.3, accuracy=0.9)``, or ``trial.report(metrics)``.

        Inside of `epochs` they belong to the epoch: its index is the step, and several reports in
        one epoch are merged. Without epochs steps count up from 0, one for each report, and every
        report is a safe point.

        Args:
            values: a mapping of metrics; or a number, which is the study's metric (the first of
                several; ``objective`` in a trial that is `offline`).
            metrics: numbers, or tensors or arrays with one element. NaN is allowed.

        Raises:
            TypeError: a metric is no number; names it.
        """
        given = values
        if values is None:
            given = {}
        elif not isinstance(values, Mapping):
            given = {self._session.metric: values}
        twice = given.keys() & metrics.keys()
        if twice:
            raise TypeError(f"trial.report: {min(twice, key=str)} is given twice")
        if not (given or metrics):
            raise TypeError("trial.report: at least one metric is needed, as in report(loss=0.3)")
        self._session.report(as_metrics({**given, **metrics}))

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

    def spawn(
        self, function: Callable[[Trial], Any], *, world_size: int, backend: str = "gloo"
    ) -> dict[str, float] | None:
        """Run ``function(trial)`` in several processes of this machine, which train together::

            def train(trial):
                return trial.spawn(train_rank, world_size=2)

            def train_rank(trial):
                model = DistributedDataParallel(Net(trial.params.width))
                ...  # as in any trial function; trial.rank and trial.world_size say who one is

        Their ``torch.distributed`` process group is formed, over the loopback device. In each,
        `trial` is as ever, and all must go through it alike: the same `epochs`, `step`, `report`
        and `checkpoint`. What differs:

        - Random generators are seeded from `seed` and the rank. ``trial.seed`` is one for all:
          ``torch.manual_seed(trial.seed)`` gives all the same weights, if nothing else does.
        - Each rank gets its share of what a `loader` yields; ``batch_size`` is that of one rank.
        - What rank 0 reports, and returns, is the trial's; of the others it is ignored.
        - Rank 0 decides at a safe point, and all do the same there. A checkpoint holds what every
          rank tracks, all at the same step, or there is none. ``in_flight: replace`` waits instead.
        - `directory` is one for all. `fork` is refused; `once` computes in one of them.

        A process that dies or raises fails the attempt, with its rank named; the others are ended.
        One that is sent SIGTERM has all save at the next safe point and leave; the study goes on
        from there at once. It goes on with as many processes as before, or not at all.

        Args:
            function: one of a module; it is imported in each process.
            world_size: how many; ask for the resources of all of them in the study.
            backend: of the process group, as in ``torch.distributed.init_process_group``.

        Returns:
            What rank 0 has returned, as metrics. It is the trial's result: nothing may be trained,
            reported or tracked beside this, and the trial function should return it.

        Raises:
            RankError: a process has failed or died; says which, and how.
            CheckpointMismatchError: the trial was saved by another number of processes.
            UsageError: the function is no function of a module, or the trial has begun without it.
        """
        return self._spawn(function, world_size, backend)

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
            processes too. An ``IterableDataset`` is run again up to its place, unless it has a
            ``state_dict`` that suffices. ``docs/trial.md`` lists every kind.

        Raises:
            UsageError: another loader has the name, a sampler for several processes was given, or
                a pass could not be resumed exactly; says what to do instead.

        In one of several processes (`spawn`), rank r of n gets every n-th sample (with a
        ``batch_sampler``, every n-th batch) of the common order, beginning with the r-th. Where
        they are not a multiple of n, the first ones come again at the end, so that all ranks have
        as many, as with torch's ``DistributedSampler``; the last ones of a sampler without a length
        are left out instead. An ``IterableDataset`` is not shared out: it must do so by itself.
        """
        from sweep.trial.loader import Loader

        loaders = self._session.loaders
        position = loaders.position(name)
        share = (self.rank, self.world_size)
        made = Loader(dataset, position, loaders, self.seed, share=share, **options)
        loaders.add(position.name, made)
        return made

    def once(
        self,
        name: str,
        function: Callable[..., T],
        *arguments: Any,
        scope: Scope = "trial",
    ) -> T:
        """What ``function(*arguments)`` gives, computed once and kept on the disk.

        A preprocessing that all trials of a study share: one computes it, the others wait; where
        that one is killed, another takes over::

            tokens = trial.once("tokens", tokenise, trial.params.vocabulary, scope="study")

        A validation that is not run again by a trial that was killed after it::

            loss = trial.once(f"validate-{epoch}", validate, model.state_dict(), epoch)

        Arguments are part of the key, so the value for another epoch's weights is never taken.

        Args:
            name: for messages, and to keep apart what has the same function and arguments.
            function: is known by its compiled code, its defaults and what it closes over. **Not
                seen** are functions that it calls, global variables, files, and versions of
                libraries: pass what may change as an argument, a version number for example.
                It must not `step`, `report` or iterate a loader of this trial: that would not
                happen when the value is read back. It may call `once`, not for itself.
            arguments: numbers, strings, bytes, paths (the name counts, not the file), arrays,
                tensors, dataclasses and containers of these. All their bytes are hashed at every
                call, at about the speed of SHA-256 on one core; pass large things by the path or
                the seed that they come from.
            scope: ``"study"``: one value for all trials. ``"trial"``: one for each trial, which
                its attempts share.

        Returns:
            The value as it is read back, also where it was computed: tensors on the CPU, without
            gradient. It may hold what a checkpoint may; see `track`.

        The function runs with generators seeded for it alone, and those of the trial are put back
        afterwards. It is not interrupted by a stop; waiting is. What it raises is raised here and
        not kept. With `offline`, values are kept in memory. Damaged files are set aside, and the
        value is computed anew. Values of code that has changed stay until the garbage of the study
        is collected.

        Raises:
            UsageError: an argument, or what the function closes over, cannot be compared; or the
                function is at fault, as described above.
            CheckpointError: the value cannot be kept, with the path of the leaf
                (``value.vocabulary[3]``), or the system refused.
        """
        value: T = self._once(name, function, arguments, scope)
        return value

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
    def start(self) -> int:
        """How many reports were made without `epochs` before this attempt: 0 from scratch.

        A loop of your own begins here, with one report in each of its turns::

            for epoch in range(trial.start, 20):
                ...
                trial.report(loss=loss)

        Track first, and read it right before the loop. After each report the trial can then be
        resumed. Where steps count rather than reports, begin at `global_step`. A loop that asks for
        neither, and reads no `state`, starts from scratch when it is resumed, and a warning says
        so: it would repeat with trained weights what was done.
        """
        return self._session.start

    @property
    def resumed_from(self) -> str | None:
        """Id of the checkpoint that this attempt goes on from; None where it began from scratch."""
        return self._session.resumed_from

    @property
    def global_step(self) -> int:
        """How often `step` was called, interrupted attempts included.

        A loop of single steps begins here: ``for step in range(trial.global_step, 1000)``. Its
        reports come before `step`, which is the last thing in it and its only safe point.
        """
        return self._session.global_step

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

    def __getitem__(self, name: str) -> Any:
        """A hyperparameter: ``trial["lr"]`` is ``trial.params["lr"]``."""
        return self.params[name]

    def __contains__(self, name: object) -> bool:
        return name in self.params

    __iter__ = None
    """Not iterable: `params` is."""

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
