"""`Trial.once`: who computes, who waits, and that nobody's random numbers depend on it."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, Protocol

from sweep.checkpoint import rng
from sweep.checkpoint.codec import Captured, decode, encode
from sweep.checkpoint.memo import MemoKey, MemoStore
from sweep.checkpoint.turn import turn
from sweep.errors import CheckpointDamagedError, CheckpointError, UsageError
from sweep.trial.fingerprint import Fingerprint
from sweep.trial.seeding import derive, on_import

Scope = Literal["trial", "study"]


class Host(Protocol):
    """What is needed of the attempt."""

    def library_loaded(self, library: str) -> None:
        """Give a library that was imported just now the generators' state of the trial."""

    def when_stopping(self, call: Callable[[], None]) -> None:
        """Call ``call`` once the trial is to stop."""

    def leave(self) -> NoReturn:
        """Leave the trial as stopped, from a place that is no safe point."""

    def progress(self) -> Any:
        """Equal to what it was, unless the trial has stepped, reported or ended an epoch."""


class Once:
    """The memos of one trial. Without a ``store`` they are kept in memory only."""

    def __init__(
        self,
        host: Host,
        store: MemoStore | None,
        log: logging.Logger,
        *,
        trial: int,
        study_seed: int,
        trial_seed: int,
    ) -> None:
        self._host, self._store, self._log = host, store, log
        self._trial, self._study_seed, self._trial_seed = trial, study_seed, trial_seed
        self._memory: dict[str, Captured] = {}

    def __call__(
        self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], scope: Scope
    ) -> Any:
        """See `Trial.once`."""
        key = self._key(name, function, arguments, scope)
        if self._store is None:
            if key.digest not in self._memory:
                self._memory[key.digest] = self._compute(key, function, arguments)[0]
            return decode(self._memory[key.digest])
        begun = time.monotonic()
        try:
            value = self._store.read(key)
        except (KeyError, CheckpointDamagedError):
            return self._take_turn(self._store, key, function, arguments)
        self._log.info("%s: read back in %.2f s", name, time.monotonic() - begun)
        return value

    def _key(
        self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], scope: Scope
    ) -> MemoKey:
        if scope not in ("trial", "study"):
            raise UsageError(f"trial.once({name!r}): scope is 'trial' or 'study', not {scope!r}")
        trial = self._trial if scope == "trial" else None
        code, whole = Fingerprint(), Fingerprint()
        try:
            code.function(function, "function")
            whole.add((name, trial, code.digest()), "name")
            whole.add(arguments, "arguments")
        except UsageError as error:
            raise UsageError(f"trial.once({name!r}): {error}") from None
        return MemoKey(name=name, trial=trial, code=code.digest(), digest=whole.digest())

    def _take_turn(
        self,
        store: MemoStore,
        key: MemoKey,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> Any:
        begun = time.monotonic()
        with turn(store.lock(key), self._host.when_stopping) as mine:
            if not mine:
                self._host.leave()
            try:
                value = store.read(key)  # somebody was faster
            except KeyError:
                pass
            except CheckpointDamagedError as error:
                aside = ", ".join(path.name for path in store.quarantine(key))
                self._log.warning("%s; computed anew, set aside: %s", error, aside)
            else:
                waited = time.monotonic() - begun
                self._log.info("%s: another trial computed it; waited %.2f s", key.name, waited)
                return value
            captured, seconds = self._compute(key, function, arguments)
            store.write(key, captured, seconds)
            self._log.info("%s: computed in %.2f s and kept", key.name, seconds)
            return decode(captured)

    def _compute(
        self, key: MemoKey, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> tuple[Captured, float]:
        begun, before = time.monotonic(), self._host.progress()
        with self._own_generators(derive("once", self._study_seed, key.digest) >> 32):
            value = function(*arguments)
        if self._host.progress() != before:
            raise UsageError(
                f"trial.once({key.name!r}): the function has called trial.step, trial.report or "
                "trial.epochs, which would not happen when its value is read back; do so after it"
            )
        try:
            return encode(value, "value"), time.monotonic() - begun
        except CheckpointError as error:
            raise CheckpointError(f"trial.once({key.name!r}): {error}") from None

    @contextmanager
    def _own_generators(self, seed: int) -> Iterator[None]:
        """Generators that depend on ``seed`` only, in the block; afterwards as if it was not run.

        A library that is imported in the block has then the state that it has in this trial.
        """
        before = rng.capture()
        rng.seed(seed)
        try:
            with on_import(lambda library: rng.seed(seed, library)):
                yield
        finally:
            # What is not in `before`, as CUDA before its first use, goes on from the trial's seed.
            rng.seed(self._trial_seed, *before)
            rng.restore(before, self._trial_seed, *before)
            for module, library in rng.modules().items():
                if module in sys.modules and library not in before:
                    self._host.library_loaded(library)
