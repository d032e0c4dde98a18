"""What a trial needs when there is no driver."""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from sweep.checkpoint import rng
from sweep.trial.message import Message, Verdict
from sweep.trial.once import Once
from sweep.trial.seeding import on_import, trial_seed
from sweep.trial.session import Session, Setting


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
    seed: int, directory: str | Path | None
) -> tuple[Session, Once, int, int, logging.Logger, Callable[[], Path]]:
    """Session, memos, number, seed, logger and maker of the directory of a trial on its own.

    Seeds the global generators, as a study does; those of a library that is imported while the
    trial lives, then.
    """
    own = trial_seed(seed, 0)
    rng.seed(own)
    log = logging.getLogger("sweep.trial")
    session = Session(Setting(seed=own), _NoLink(), log)
    watch = ExitStack()
    watch.enter_context(on_import(partial(rng.seed, own)))
    weakref.finalize(session, watch.close)
    once = Once(session, None, log, trial=0, study_seed=seed, trial_seed=own)
    return session, once, 0, own, log, _Scratch(directory)


class _Scratch:
    def __init__(self, directory: str | Path | None) -> None:
        self._given = None if directory is None else Path(directory)

    def __call__(self) -> Path:
        if self._given is not None:
            self._given.mkdir(parents=True, exist_ok=True)
            return self._given
        temporary = tempfile.mkdtemp(prefix="sweep-trial-")
        weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)
        return Path(temporary)
