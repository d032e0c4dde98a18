"""The processes of one trial, seen from the worker that has started them: `Trial.spawn`.

::

    driver <-- link --> worker <-- pipe --> rank 0 <-- pipes --> rank 1, 2, ...

Rank 0 speaks with the driver, through the worker. The worker waits for all of them: when one dies
or fails, it ends the others, and the attempt has failed as a whole. They die with the worker.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from sweep.checkpoint.store import Checkpoint
from sweep.errors import CheckpointError, RankError, UsageError
from sweep.trial.footing import Question, Standing, out_of_step
from sweep.trial.message import Assignment, Ended, Link, Message, Reported, Verdict
from sweep.trial.outcome import Outcome
from sweep.trial.session import Session

GRACE_S = 5.0
"""How long the others have to end once rank 0 has left, or all have said their last word."""

LOOK_S = 10.0
"""How often all are asked where they are. Who is out of step is told so at the second look at which
nothing has moved."""

_START = "import sys; sys.path[:] = {path!r}; from sweep.trial.rank import main; main({fds!r})"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a rank is to do. ``function`` is pickled: importing it is part of the trial."""

    rank: int
    size: int
    assignment: Assignment
    function: bytes
    backend: str
    directory: str
    """`Trial.directory`, for all of them."""
    meeting: str
    """File by which torch's process group is formed; new for each attempt."""
    saving: bool
    """False without a study."""
    parent: int
    """Process id of the worker."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message of a rank, with the time (`time.monotonic`, one clock for all) that it was sent."""

    at: float
    message: Message | Standing


class Ranks:
    """Runs one function of a trial in several processes; what `Trial.spawn` calls."""

    def __init__(
        self,
        session: Session,
        link: Link,
        assignment: Assignment,
        directory: Callable[[], Path],
        restored: Checkpoint | None = None,
        *,
        saving: bool = True,
    ) -> None:
        """``restored`` is where the ranks are to go on from; all its files are whole."""
        whole = () if restored is None else (restored.manifest.name,)
        self._assignment = replace(assignment, restore=whole)
        self._session, self._link = session, link
        self._directory, self._saving = directory, saving

    def __call__(
        self, function: Callable[[Any], Any], size: int, backend: str
    ) -> dict[str, float] | None:
        """See `Trial.spawn`."""
        if size < 1:
            raise UsageError(f"trial.spawn: world_size must be at least 1, not {size}")
        pickled = _pickled(function)
        self._session.hand_over(size)
        ours, directory = self._assignment, self._directory().absolute()
        task = Task(
            rank=0,
            size=size,
            assignment=replace(ours, threads=max(1, ours.threads // size)),
            function=pickled,
            backend=backend,
            directory=str(directory),
            meeting=str(directory / f".ranks-{os.getpid()}-{time.monotonic_ns()}"),
            saving=self._saving,
            parent=os.getpid(),
        )
        crew = _Crew(task, self._link, self._session)
        try:
            ended = crew.run()
        finally:
            crew.close()
        if ended.outcome is Outcome.FAILED:
            reason = ended.reason or "failed"
            message = f"{reason}\n\n{ended.error}" if ended.error else reason
            raise RankError(message, again=ended.again)
        if ended.outcome is Outcome.UNSAVED:
            code = errno.ENOSPC if ended.disk_full else errno.EIO
            raise CheckpointError(ended.reason) from OSError(code, os.strerror(code))
        self._session.come_back(ended.outcome, ended.returned or {})
        return ended.returned


def _pickled(function: Callable[[Any], Any]) -> bytes:
    if getattr(function, "__module__", None) == "__main__":
        raise UsageError(
            "trial.spawn: the function must be in a module that can be imported, not in a script "
            "or notebook itself"
        )
    try:
        return pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"trial.spawn: the function must be one of a module, not a lambda or one inside of "
            f"another function: {error}"
        ) from error


class _Member:
    """One rank's process."""

    def __init__(self, task: Task, bell: socket.socket, peers: list[Connection]) -> None:
        """``peers`` are its ends of the pipes to the other ranks, in order; rank 0 has two each."""
        self.rank = task.rank
        self.control, theirs = Pipe()
        fds = [theirs.fileno(), bell.fileno(), *(peer.fileno() for peer in peers)]
        environment = os.environ | {
            "RANK": str(task.rank),
            "WORLD_SIZE": str(task.size),
            "LOCAL_RANK": str(task.rank),
            "LOCAL_WORLD_SIZE": str(task.size),
        }
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path, fds=fds)],
            env=environment,
            stdin=subprocess.DEVNULL,
            pass_fds=fds,
            # A Ctrl-C in the terminal is for the driver alone; and `close` ends the whole group.
            start_new_session=True,
        )
        theirs.close()
        self.pidfd = os.pidfd_open(self.process.pid)
        self.ended: Ended | None = None
        self.at = 0.0
        self._deaf = False
        with suppress(ConnectionError):  # it is dead already: that will be noticed
            self.control.send(task)

    @property
    def gone(self) -> bool:
        if self._deaf and self.ended is None:
            # Its files are closed a moment before it is dead, so others may know it first.
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1.0)
        return self.process.poll() is not None

    @property
    def watched(self) -> list[Connection | int]:
        """What becomes ready when it says something or dies."""
        if self.gone:
            return []
        return [self.pidfd] if self._deaf else [self.pidfd, self.control]

    def hear(self) -> list[Message | Standing]:
        """What it has said since, its last word excepted."""
        heard: list[Message | Standing] = []
        while not self._deaf and self.control.poll():
            try:
                said: Said = self.control.recv()
            except (EOFError, OSError):
                self._deaf = True
                break
            if isinstance(said.message, Ended):
                self.ended, self.at = said.message, said.at
            else:
                heard.append(said.message)
        return heard

    def tell(self, word: Verdict | Question) -> None:
        with suppress(ConnectionError):  # it has died: that will be noticed
            self.control.send(word)

    def fate(self, size: int) -> Ended:
        """What to say of one that has died without a word."""
        code = self.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        reason = f"rank {self.rank} of {size} {how}"
        return Ended(outcome=Outcome.FAILED, reason=reason)

    def close(self) -> None:
        """Kill it, if it still runs, and what it has started."""
        if self.process.poll() is None:  # else its number may be another's by now
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.pidfd)
        self.control.close()


class _Crew:
    """All ranks of a trial."""

    def __init__(self, task: Task, link: Link, session: Session) -> None:
        self._task, self._link, self._session = task, link, session
        self._bell, self._rope = socket.socketpair()
        self._rope.setblocking(False)
        self._members: list[_Member] = []
        self._stopped = False
        self._deadline: float | None = None
        self._next_look = time.monotonic() + LOOK_S
        self._standings: dict[int, Standing] = {}
        self._seen: dict[int, Standing] = {}
        self._unanswered: set[int] = set()
        self._out_of_step: str | None = None

    def run(self) -> Ended:
        """Start all ranks, and return when the last has ended, or one has failed."""
        self._start()
        # A signal handler or another thread may call this, and later than `close`.
        self._link.when_stopping(self._ring)
        while (ended := self._verdict()) is None:
            self._wait()
            for member in self._members:
                for message in member.hear():
                    self._relay(member, message)
            if self._link.stopping:
                self._stop()
            if time.monotonic() >= self._next_look:
                self._look()
        return ended

    def close(self) -> None:
        """End whatever still runs."""
        for member in self._members:
            member.close()
        self._bell.close()
        self._rope.close()
        Path(self._task.meeting).unlink(missing_ok=True)

    def _start(self) -> None:
        size = self._task.size
        # To each other rank two pipes: for what is decided in the thread that trains, and for what
        # is said in the one that saves.
        pipes = [(Pipe(), Pipe()) for _ in range(1, size)]
        leaders = [end for pair in pipes for end, _ in pair]
        followers = [[end for _, end in pair] for pair in pipes]
        try:
            for rank, peers in enumerate([leaders, *followers]):
                task = replace(self._task, rank=rank)
                self._members.append(_Member(task, self._rope, peers))
        finally:
            for pipe in pipes:
                for ends in pipe:
                    for end in ends:
                        end.close()

    def _wait(self) -> None:
        watched = [each for member in self._members for each in member.watched]
        until = min(self._next_look, self._deadline or self._next_look)
        rung = self._bell in wait([*watched, self._bell], max(0.0, until - time.monotonic()))
        # We ring with 0; from a rank that is sent SIGTERM the signal's number comes.
        if rung and {0, signal.SIGTERM} & set(self._bell.recv(1 << 12)):
            self._stop()

    def _look(self) -> None:
        """Are all ranks in step? Ask them, and judge what they have answered to the last time."""
        self._next_look = time.monotonic() + LOOK_S
        if self._standings == self._seen:
            self._out_of_step = out_of_step(self._standings)
        self._seen = dict(self._standings)
        for member in self._members:
            if member.rank not in self._unanswered:  # else it is frozen, and its pipe might fill
                self._unanswered.add(member.rank)
                member.tell(Question.WHERE)

    def _relay(self, member: _Member, message: Message | Standing) -> None:
        if isinstance(message, Standing):
            self._standings[member.rank] = message
            self._unanswered.discard(member.rank)
            return
        self._link.send(message)
        if isinstance(message, Reported):
            self._session.heard(message)
            ours = self._task.assignment
            if ours.verdicts and ours.metric in message.metrics:
                member.tell(self._link.verdict())

    def _verdict(self) -> Ended | None:
        """What has become of the attempt, once that is known."""
        size, leader = self._task.size, self._members[0].ended
        bad = [each for each in self._members if each.ended is not None and _bad(each.ended)]
        dead = [each for each in self._members if each.gone and each.ended is None]
        if dead:  # what others have to say of it is a consequence
            self._hear_out(dead)
            return dead[0].fate(size) if dead[0].ended is None else self._verdict()
        if bad:
            first = min(bad, key=lambda each: each.at)
            return _named(first, size)
        if self._out_of_step is not None:
            return Ended(outcome=Outcome.FAILED, reason=self._out_of_step)
        if leader is None:
            return None
        if all(member.ended is not None for member in self._members):
            self._end_by(GRACE_S)
            if all(member.gone for member in self._members):
                return leader
        elif leader.outcome is not Outcome.COMPLETE:
            self._end_by(GRACE_S)  # it has left alone, from where nothing could be saved
        late = self._deadline is not None and time.monotonic() >= self._deadline
        return leader if late else None

    def _hear_out(self, members: list[_Member]) -> None:
        for member in members:
            for message in member.hear():
                self._relay(member, message)

    def _end_by(self, seconds: float) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + seconds

    def _stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._members[0].tell(Verdict.STOP)

    def _ring(self) -> None:
        with suppress(OSError):  # closed, or rung often enough
            self._rope.send(b"\0")


def _bad(ended: Ended) -> bool:
    return ended.outcome in (Outcome.FAILED, Outcome.UNSAVED)


def _named(member: _Member, size: int) -> Ended:
    ended = member.ended
    if ended is None or ended.outcome is Outcome.UNSAVED:
        return ended or member.fate(size)
    return replace(ended, reason=f"rank {member.rank} of {size}: {ended.reason}")
