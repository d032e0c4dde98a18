"""One process of a trial of several: what `sweep.trial.ranks` starts."""

from __future__ import annotations

import ctypes
import os
import pickle
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from sweep.checkpoint import rng
from sweep.checkpoint.part import RankStore
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.saver import Saver
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import UsageError
from sweep.paths import StudyPaths
from sweep.trial import attempt
from sweep.trial.agreement import Agreement, Follower, Leader
from sweep.trial.footing import Footing, Question, Standing
from sweep.trial.message import Ended, Message, Saved, Verdict
from sweep.trial.ranks import Said, Task
from sweep.trial.seeding import on_import, rank_seed, trial_seed
from sweep.trial.session import Session
from sweep.trial.setting import Setting
from sweep.trial.threads import limit_threads, limit_torch
from sweep.trial.trial import Trial


def main(fds: Sequence[int]) -> None:
    """Run one rank. ``fds``: to the worker, to its bell, and to the other ranks in pairs."""
    _die_with_parent()
    for fd in fds:
        os.set_inheritable(fd, False)
    control, bell, *peers = fds
    to_worker = Connection(control)
    task: Task = to_worker.recv()
    if os.getppid() != task.parent:
        os._exit(1)  # it had died before this process could ask to die with it
    _heed_sigterm(bell)
    _Rank(task, _RankLink(to_worker, task.rank), [Connection(fd) for fd in peers]).run()


class _RankLink:
    """To the worker. Rank 0 alone has something to say before the end."""

    def __init__(self, worker: Connection, rank: int) -> None:
        self._worker, self._rank = worker, rank
        self._lock = threading.Lock()
        self._verdicts: queue.SimpleQueue[Verdict] = queue.SimpleQueue()
        self._waiting: Callable[[], None] | None = None
        self.stopping = False
        self.footing = Footing(lambda: 0)
        threading.Thread(target=self._listen, name="worker", daemon=True).start()

    def send(self, message: Message) -> None:
        if self._rank == 0:
            self.say(message)

    def say(self, message: Message | Standing) -> None:
        with self._lock:
            self._worker.send(Said(at=time.monotonic(), message=message))

    def verdict(self) -> Verdict:
        return self._verdicts.get()

    def when_stopping(self, call: Callable[[], None]) -> None:
        self._waiting = call
        if self.stopping:
            call()

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                word: Verdict | Question = self._worker.recv()
                if isinstance(word, Question):
                    self.say(self.footing.standing())
                elif word is Verdict.STOP:
                    self.stopping = True
                    if self._waiting is not None:
                        self._waiting()
                else:
                    self._verdicts.put(word)


class _Rank:
    """An attempt, as far as it runs in this process. Compare `sweep.trial.attempt`."""

    def __init__(self, task: Task, link: _RankLink, peers: list[Connection]) -> None:
        """``peers`` are two for each: what is decided goes over one, what is saved over the other.

        Rank 0 has all others, which have only rank 0.
        """
        self._task, self._link = task, link
        self._deciding, self._saving = peers[0::2], peers[1::2]
        self._seed = trial_seed(task.assignment.seed, task.assignment.trial)
        self._own_seed = rank_seed(self._seed, task.rank)
        self._session: Session | None = None

    def run(self) -> None:
        """Run the attempt; its outcome is the last thing that the worker is told."""
        with on_import(self._library_loaded):
            try:
                ended = self._attempt()
                attempt.close(self._session)
            except BaseException as error:  # noqa: BLE001  user code may raise anything
                # At once: what is being saved may need another rank, which waits for this one.
                ended = attempt.failure(error)
            self._link.say(ended)

    def _library_loaded(self, library: str) -> None:
        if self._session is None:
            rng.seed(self._own_seed, library)
        else:
            self._session.library_loaded(library)
        limit_torch(self._task.assignment.threads)

    def _attempt(self) -> Ended:
        task, assignment = self._task, self._task.assignment
        limit_threads(assignment.threads)
        checkpoints = StudyPaths(Path(assignment.root)).checkpoints
        store = CheckpointStore(checkpoints, level=assignment.level)
        restored = None
        for manifest in assignment.restore:
            restored = store.read(manifest, rank=task.rank)
        rng.seed(self._own_seed)
        _form_group(task)
        function = pickle.loads(task.function)
        limit_threads(assignment.threads)
        rng.seed(self._own_seed)
        log = attempt.make_logger(f"sweep.trial.{assignment.trial}", f"rank {task.rank}: ")
        saver = self._saver(store) if task.saving else None
        session = Session(self._setting(), self._link, log, saver, restored, self._agreement())
        self._session = session
        trial = Trial(
            session,
            assignment.params,
            once=attempt.make_once(assignment, session, log, self._own_seed, kept=task.saving),
            number=assignment.trial,
            seed=self._seed,
            log=log,
            directory=lambda: Path(task.directory),
            spawn=_refuse,
            rank=task.rank,
            world_size=task.size,
        )
        return attempt.call(function, trial, session, assignment)

    def _agreement(self) -> Agreement:
        self._link.footing = Footing(_collectives)
        reached = self._link.footing.reach
        if self._task.rank == 0:
            return Leader(self._deciding, reached)
        return Follower(self._deciding[0], self._task.rank, self._task.size, reached)

    def _setting(self) -> Setting:
        if not self._task.saving:
            return Setting(seed=self._own_seed)
        setting = attempt.make_setting(self._task.assignment, self._own_seed, self._task.size)
        return replace(
            setting,
            # What one rank gives up, another may have written already.
            scope=replace(setting.scope, replace=False),
            verdicts=setting.verdicts and self._task.rank == 0,
        )

    def _saver(self, store: CheckpointStore) -> Saver:
        def saved(record: CheckpointRecord) -> None:
            self._link.send(Saved(record=record))

        # One looks whether there is room: two might come to different answers.
        room = None if self._task.rank else Path(self._task.assignment.root)
        return Saver(RankStore(store, self._task.rank, self._saving), saved, room)


def _form_group(task: Task) -> None:
    import torch.distributed

    torch.distributed.init_process_group(
        task.backend,
        init_method=f"file://{task.meeting}",
        rank=task.rank,
        world_size=task.size,
    )


def _collectives() -> int:
    """How many collectives this process has called of the group of all ranks. Torch counts them,
    those of DistributedDataParallel and of other threads included, and keeps that to itself."""
    import torch.distributed

    group = torch.distributed.group.WORLD
    return int(getattr(group, "_get_sequence_number_for_group", lambda: 0)())


def _refuse(function: Callable[[Any], Any], size: int, backend: str) -> NoReturn:
    raise UsageError("trial.spawn: this is one of the processes of the trial already")


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies: prctl(2), PR_SET_PDEATHSIG."""
    ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGKILL))


def _heed_sigterm(bell: int) -> None:
    """Have the worker told of a SIGTERM, even while Python waits for a library's code to return."""
    os.set_blocking(bell, False)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=_forget_sigterm)


def _forget_sigterm() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
