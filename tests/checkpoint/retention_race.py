"""A program: one process saves and retires, others restore, fork and collect garbage meanwhile.

``python retention_race.py DIRECTORY SAVES`` runs until so many checkpoints were saved, and prints
how often each role has done its part. Who saves is killed again and again in the middle of a
delete, each time one system call later, and another process goes on in its place.

A file of lines stands for the journal: ``+name`` once a checkpoint is durable, ``-name`` before it
is deleted.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from checkpoint_maker import draft
from system_call import at_call

from sweep.checkpoint.codec import encode
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.record import CheckpointRecord, Kind
from sweep.checkpoint.retention import Fate, Keep, Standing, plan_trial
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import CheckpointDamagedError

SIZE = 40_000  # of float64: more than what is shared at least
LATER = 10**6
"""The session of forks: nobody takes what is in the making there for garbage."""
FORKS = 4
"""So many are kept."""


def state(epoch: int) -> dict[str, object]:
    return {"frozen": np.zeros(SIZE), "own": np.full(SIZE, epoch), "small": np.full(5, epoch)}


def loss(epoch: int) -> float:
    return math.nan if epoch % 3 == 0 else float(-epoch if epoch % 7 == 0 else epoch * 5 % 11)


def epoch_of(name: str) -> int:
    return int(Path(name).name.partition(".")[0])


class Race:
    """The directory that all roles work in."""

    def __init__(self, base: Path, saves: int) -> None:
        self.root, self._lines, self.over = base / "store", base / "lines", base / "over"
        self.counts = base / "counts"
        self.store, self.saves = CheckpointStore(self.root), saves

    def say(self, line: str) -> None:
        with self._lines.open("a") as file:
            file.write(f"{line}\n")

    def said(self) -> list[str]:
        with suppress(FileNotFoundError):
            return self._lines.read_text().splitlines()
        return []

    def known(self, fork: bool) -> list[str]:
        """What is kept, oldest first: of the trial that saves, or of its forks."""
        found: dict[str, None] = {}
        for line in self.said():
            if line.startswith("00000/", 1) is not fork:
                found.pop(line[1:], None)
                if line[0] == "+":
                    found[line[1:]] = None
        return list(found)

    def count(self, what: str) -> None:
        with self.counts.open("a") as file:
            file.write(f"{what}\n")

    def check(self, name: str) -> None:
        """Restore it; the very bytes of its epoch, or a clear word that it is gone."""
        try:
            tree = self.store.read(name).tree
        except CheckpointDamagedError as error:
            if name in self.known(fork=name[:5] != "00000"):
                raise
            self.is_gone(error)
            return
        for key, value in state(epoch_of(name)).items():
            assert np.array_equal(tree[key], value), (name, key)
        self.count("restored")

    def is_gone(self, error: CheckpointDamagedError) -> None:
        assert "is missing" in str(error), error
        self.count("gone")

    def retire(self, name: str, kill_at: int | None = None) -> None:
        self.say(f"-{name}")
        with at_call(kill_at or 0, lambda call: os.kill(os.getpid(), signal.SIGKILL)):
            self.store.delete(name)


def save(race: Race, session: int, kill_at: int) -> None:
    """What a driver and its trial do in one session, until all is saved or a delete is cut short.

    ``kill_at``: the system call before which the third delete ends.
    """
    for name in race.store.garbage({*race.known(False), *race.known(True)}, session):
        race.store.delete(name)
    race.store.sweep_pool()
    records = [race.store.record(name) for name in race.known(fork=False)]
    deleted = 0
    for epoch in range(records[-1].epoch + 1 if records else 1, race.saves + 1):
        made = race.store.write(draft_of(epoch, session), encode(state(epoch)))
        race.say(f"+{made.manifest}")
        records.append(made)
        for going in gone(records):
            records.remove(going)
            deleted += 1
            race.retire(going.manifest, kill_at if deleted == 3 else None)


def draft_of(epoch: int, session: int) -> Draft:
    return replace(draft(epoch, session=session), metrics={"loss": loss(epoch)})


def gone(records: list[CheckpointRecord]) -> list[CheckpointRecord]:
    plan = plan_trial(
        records,
        Standing(Fate.UNFINISHED),
        Keep(last=1, best=1),
        metric="loss",
        maximize=False,
        pinned=(),
    )
    names = {each.id for each in plan}
    return [record for record in records if record.id in names]


def best_of(names: list[str]) -> list[str]:
    """The one that `Keep(best=1)` holds, if there is one."""
    counting = [name for name in names if not math.isnan(loss(epoch_of(name)))]
    return [min(reversed(counting), key=lambda name: loss(epoch_of(name)))] if counting else []


def read(race: Race, turn: int) -> None:
    """Restore the latest, the best, one by its id, and a fork."""
    known, forks = race.known(fork=False), race.known(fork=True)
    ids = [known[turn % len(known)]] if known else []
    for name in (*known[-1:], *best_of(known), *ids, *forks[:1]):
        race.check(name)


def fork(race: Race, turn: int) -> None:
    """Go on from the latest in a new trial, which is there as a whole or not at all."""
    trial = turn + 1
    for name in race.known(fork=False)[-1:]:
        source = draft(epoch_of(name), trial=trial, session=LATER, kind=Kind.FORK)
        try:
            made = race.store.fork(name, source)
        except CheckpointDamagedError as error:
            if name in race.known(fork=False):
                raise
            race.is_gone(error)
            assert not race.store.manifests(trial)
            continue
        race.store.verify(made.manifest)
        race.say(f"+{made.manifest}")
        race.count("forked")
    for old in race.known(fork=True)[:-FORKS]:
        race.retire(old)


def collect(race: Race, turn: int) -> None:
    """What `sweep gc` does beside a driver: nothing of the running session is garbage."""
    race.store.sweep_pool()
    known = {*race.known(False), *race.known(True)}
    assert not set(race.store.garbage(known, session=0)) & known
    race.count("collected")


def start(work: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def beside(race: Race, role: Callable[[Race, int], object]) -> Callable[[], None]:
    def work() -> None:
        turn = 0
        while not race.over.exists():
            role(race, turn)
            turn += 1

    return work


def main(base: Path, saves: int) -> None:
    race = Race(base, saves)
    others = [start(beside(race, role)) for role in (read, read, fork, collect)]
    session, kill_at = 0, 0
    ended = signal.SIGKILL
    while ended == signal.SIGKILL:
        session, kill_at = session + 1, kill_at + 1
        saver = start(partial(save, race, session, kill_at))
        ended = os.waitpid(saver, 0)[1]
    assert not ended
    race.over.touch()
    assert [os.waitpid(other, 0)[1] for other in others] == [0] * len(others)

    made = [line[1:] for line in race.said() if line.startswith("+00000/")]
    known, forks = race.known(fork=False), race.known(fork=True)
    assert set(known) == {made[-1], *best_of(made)}, known
    assert len(forks) == FORKS
    for name in race.store.garbage({*known, *forks}, LATER + 1):
        race.store.delete(name)
    race.store.sweep_pool()
    check_no_more_than(race, [*known, *forks])
    counts = Counter(race.counts.read_text().split("\n"))
    print({**counts, "killed": session - 1})  # noqa: T201


def check_no_more_than(race: Race, names: list[str]) -> None:
    """``names`` are whole, and no file is there that none of them needs."""
    needed = set()
    for name in names:
        blobs = race.store.read(name).manifest.blobs
        needed |= {race.root / "manifests" / name, *(race.root / "blobs" / b.path for b in blobs)}
    left = {path for path in race.root.rglob("*") if path.is_file()}
    inodes = {path.stat().st_ino for path in needed}
    assert {path for path in left - needed if path.stat().st_ino not in inodes} == set()
    assert {path.parts[len(race.root.parts)] for path in left - needed} <= {"pool"}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
