"""What a trial needs when there is no driver."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from sweep.checkpoint import rng
from sweep.trial.message import Assignment, Message, Verdict
from sweep.trial.once import Once
from sweep.trial.ranks import Ranks
from sweep.trial.seeding import on_import, trial_seed
from sweep.trial.session import Session
from sweep.trial.setting import Setting


class _NoLink:
    """Nobody listens, and nobody wants the trial to end."""

    stopping = False

    def send(self, message: Message) -> None:
        pass

    def verdict(self) -> Verdict:
        return Verdict.CONTINUE

    def when_stopping(self, call: Callable[[], None]) -> None:
        pass


def offline_parts(
    params: Mapping[str, Any], seed: int, directory: str | Path | None
) -> tuple[Session, Once, int, logging.Logger, Callable[[], Path], Ranks]:
    """Session, memos, seed, logger, maker of the directory and of ranks, for a trial on its own.

    Seeds the global generators, as a study does; those of a library that is imported while the
    trial lives, then.
    """
    own = trial_seed(seed, 0)
    rng.seed(own)
    log = logging.getLogger("sweep.trial")
    link, scratch = _NoLink(), _Scratch(directory)
    session = Session(Setting(seed=own), link, log)
    watch = ExitStack()
    watch.enter_context(on_import(partial(rng.seed, own)))
    weakref.finalize(session, watch.close)
    once = Once(session, None, log, trial=0, study_seed=seed, trial_seed=own)
    return session, once, own, log, scratch, _ranks(session, link, params, seed, scratch)


def _ranks(
    session: Session,
    link: _NoLink,
    params: Mapping[str, Any],
    seed: int,
    scratch: Callable[[], Path],
) -> Ranks:
    assignment = Assignment(
        study="",
        trial=0,
        attempt=1,
        session=0,
        params=dict(params),
        seed=seed,
        program="",
        project="",
        root="",
        threads=os.cpu_count() or 1,
    )
    return Ranks(session, link, assignment, scratch, saving=False)


class _Scratch:
    def __init__(self, directory: str | Path | None) -> None:
        self._given = None if directory is None else Path(directory)

    def __call__(self) -> Path:
        if self._given is not None:
            self._given.mkdir(parents=True, exist_ok=True)
            return self._given
        self._given = Path(tempfile.mkdtemp(prefix="sweep-trial-"))
        weakref.finalize(self, shutil.rmtree, self._given, ignore_errors=True)
        return self._given
