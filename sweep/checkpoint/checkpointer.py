"""Checkpoints for a training loop of one's own, without a study."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from sweep.checkpoint import origin, rng
from sweep.checkpoint.buffer import Buffers
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.encoder import Captured, Encoder
from sweep.checkpoint.fit import check_types
from sweep.checkpoint.metric import as_metrics
from sweep.checkpoint.policy import Policy, Progress, due
from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.checkpoint.retention import Keep, retired
from sweep.checkpoint.saver import Saver
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointMismatchError,
    UsageError,
)

_log = logging.getLogger("sweep")

_SESSION = re.compile(r"-s(\d+)a\d+\.json$")


class Stateful(Protocol):
    """What can be tracked."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any, /) -> Any: ...


class Checkpointer:
    """Saves tracked objects behind the training, keeps what ``keep`` says, and restores.

    One process writes a directory at a time, from one thread. Random number generators of Python,
    NumPy and torch are saved and restored too. Steps are in their natural order: 9, 10, 100.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        keep: Keep | None = None,
        every: Policy | None = None,
        metric: str = "",
        maximize: bool = False,
    ) -> None:
        """Look at what is there. A checkpoint whose manifest is damaged is quarantined.

        Args:
            directory: where the checkpoints lie; made when the first one is saved.
            keep: how many stay; by default the last one and, with ``metric``, the best one.
            every: when `maybe_save` saves: every so many steps or seconds.
            metric: name of the metric that makes a checkpoint the best.
            maximize: whether a higher value of it is better.

        Raises:
            CheckpointMismatchError: a manifest was written by a newer version of this package.
            UsageError: ``every`` asks for what only a study knows: epochs, or an overhead.
        """
        if every is not None and (every.epochs is not None or every.overhead is not None):
            raise UsageError("a Checkpointer saves every so many steps or seconds: Policy(steps=n)")
        self._root, self._store = Path(directory), CheckpointStore(Path(directory))
        self._keep, self._policy = keep or Keep(), every or Policy()
        self._metric, self._maximize = metric, maximize
        self._objects: dict[str, Stateful] = {}
        self._buffers, self._saver = Buffers(), Saver(self._store, self._saved)
        names = self._store.manifests(0)
        self._session = 1 + max((_session(name) for name in names), default=0)
        self._clear_leftovers(names)
        self._damaged: CheckpointDamagedError | None = None
        """Why the last one was quarantined, if one was."""
        self._records = sorted(
            self._whole(names),
            key=lambda record: (record.global_step, record.session, record.saved),
        )
        self._parent: str | None = None
        self._marked, self._begun = 0, time.monotonic()

    def track(self, **objects: Stateful) -> None:
        """Save and restore ``objects`` under these names.

        Raises:
            TypeError: one has no state_dict and load_state_dict; names it.
        """
        for name, value in objects.items():
            if not (hasattr(value, "state_dict") and hasattr(value, "load_state_dict")):
                raise TypeError(
                    f"{name} is a {type(value).__name__}, which has no state_dict() and "
                    "load_state_dict()"
                )
        self._objects |= objects

    def save(
        self, *, step: int, metrics: Mapping[str, Any] | None = None, wait: bool = False
    ) -> str:
        """Capture the state now and write it behind the training; the checkpoint's id.

        What is tracked may change as soon as this returns. A save in flight is waited for.

        Args:
            step: where the training stands, from 0.
            metrics: what is known of the model there: numbers, or tensors and arrays with one
                element.
            wait: return when it is durable.

        Raises:
            CheckpointError: this one cannot be captured, or an earlier one could not be saved.
            TypeError: a metric is no number; says which.
            UsageError: nothing is tracked, or this step was saved in this session already.
        """
        if not self._objects:
            raise UsageError("nothing is tracked: call track(model=model, ...) first")
        self._saver.wait()
        draft = Draft(
            trial=0,
            attempt=1,
            session=self._session,
            kind=Kind.MANUAL,
            epoch=0,
            global_step=step,
            step=step,
            parent=self._parent,
            metrics=as_metrics(metrics or {}),
            meta={"versions": origin.versions()},
        )
        if any(record.manifest == draft.manifest for record in self._records):
            raise UsageError(f"step {step} has been saved already")
        self._saver.save(draft, self._capture())
        self._parent, self._marked, self._begun = draft.id, step, time.monotonic()
        if wait:
            self._saver.wait()
        return draft.id

    def maybe_save(self, *, step: int, metrics: Mapping[str, Any] | None = None) -> bool:
        """`save` where ``every`` asks for it; whether it did.

        Raises:
            CheckpointError, TypeError, UsageError: as `save`.
        """
        self._saver.check()
        since = Progress(steps=step - self._marked, seconds=time.monotonic() - self._begun)
        if not due(self._policy, since):
            return False
        self.save(step=step, metrics=metrics)
        return True

    def latest(self) -> CheckpointRecord | None:
        """The checkpoint of the highest step; None without any. Waits for the save in flight."""
        self._saver.wait()
        return self._records[-1] if self._records else None

    def best(self) -> CheckpointRecord | None:
        """The checkpoint with the best ``metric``, of equal ones the newest; None without any."""
        self._saver.wait()
        sign = 1 if self._maximize else -1
        found, top = None, float("-inf")
        for record in self._records:
            value = sign * record.metrics.get(self._metric, float("nan"))
            if value >= top:
                found, top = record, value
        return found

    def at(self, step: int) -> CheckpointRecord | None:
        """The newest checkpoint of a step; None if it is not kept."""
        self._saver.wait()
        return next((known for known in reversed(self._records) if known.global_step == step), None)

    def restore(
        self, which: str | int = "latest", *, strict: bool = True
    ) -> CheckpointRecord | None:
        """Load a verified state into what is tracked, and the random number generators.

        A damaged latest checkpoint is quarantined, and the next older one is used.

        Args:
            which: "latest", "best" or a step.
            strict: all that was saved must be tracked, and the other way round; if False, only
                what both sides know is restored, and turned into the dtypes that are here.

        Returns:
            What was restored, or None where there is no checkpoint yet.

        Raises:
            CheckpointDamagedError: the one that was asked for, or every one there is.
            CheckpointMismatchError: the state does not fit; names both sides.
            UsageError: the step is not kept.
        """
        named = which in ("latest", "best") or (isinstance(which, int) and self.at(which))
        if not named:
            there = ", ".join(str(record.global_step) for record in self._records) or "nothing"
            raise UsageError(f"no checkpoint {which!r}; there are steps {there}")
        while record := self._find(which):
            try:
                self._load(record, strict)
            except CheckpointDamagedError as error:
                self._records.remove(record)
                self._set_aside(record.manifest, error)
                if which != "latest":
                    break
            else:
                self._parent, self._marked = record.id, record.global_step
                self._begun = time.monotonic()
                return record
        if self._damaged is not None:
            raise self._damaged
        return None

    def close(self) -> None:
        """Wait for the save in flight, and end the thread.

        Raises:
            CheckpointError: it could not be saved.
        """
        self._saver.close()

    def __enter__(self) -> Checkpointer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _capture(self) -> Captured:
        encoder = Encoder(self._buffers)
        states = {name: value.state_dict() for name, value in self._objects.items()}
        return encoder.captured(
            {"tracked": encoder.encode(states, ""), "rng": encoder.encode(rng.capture(), "rng")}
        )

    def _saved(self, record: CheckpointRecord) -> None:
        """In the saving thread; the other one waits for it before it looks at the records."""
        self._records.append(record)
        self._records.sort(key=lambda known: (known.global_step, known.session, known.saved))
        going = set(retired(self._records, self._keep, self._metric, self._maximize, False))
        kept: list[CheckpointRecord] = []
        for known in self._records:
            if known.id in going and known.manifest != record.manifest:
                self._remove(known)
            else:
                kept.append(known)
        self._records[:] = kept

    def _remove(self, record: CheckpointRecord) -> None:
        try:
            self._store.delete(record.manifest)
        except OSError as error:
            raise CheckpointError(f"checkpoint {record.id} cannot be removed: {error}") from error

    def _find(self, which: str | int) -> CheckpointRecord | None:
        if isinstance(which, int):
            return self.at(which)
        return self.latest() if which == "latest" else self.best()

    def _load(self, record: CheckpointRecord, strict: bool) -> None:
        found = self._store.read(record.manifest)
        if found.manifest.content is not Content.FULL:
            raise CheckpointMismatchError(
                f"checkpoint {record.id} is {found.manifest.content}: only a full one can be "
                "restored into training"
            )
        states = found.tree["tracked"]
        if strict and states.keys() != self._objects.keys():
            raise CheckpointMismatchError(
                f"checkpoint {record.id} holds {_list(states)}, but tracked is "
                f"{_list(self._objects)}; strict=False restores what both have"
            )
        both = [name for name in self._objects if name in states]
        for name in both if strict else ():
            check_types(record.id, name, self._objects[name], states[name])
        for name in both:
            try:
                self._objects[name].load_state_dict(states[name])
            except Exception as error:
                raise CheckpointMismatchError(
                    f"checkpoint {record.id} does not fit {name!r}: {' '.join(str(error).split())}"
                ) from error
        rng.restore(found.tree["rng"], 0, *(set(found.tree["rng"]) & _loaded()))

    def _whole(self, names: Sequence[str]) -> Iterator[CheckpointRecord]:
        """The records of those whose manifests are as they were written."""
        for name in names:
            try:
                yield self._store.record(name)
            except CheckpointDamagedError as error:
                self._set_aside(name, error)

    def _set_aside(self, manifest: str, error: CheckpointDamagedError) -> None:
        target = self._store.quarantine(manifest, str(error))
        _log.warning("%s; the checkpoint is kept in %s", error, target)
        self._damaged = error

    def _clear_leftovers(self, names: Sequence[str]) -> None:
        try:
            for leftover in self._store.garbage(names, self._session):
                self._store.delete(leftover)
            self._store.sweep_pool()
        except OSError as error:
            raise CheckpointError(f"{self._root}: cannot be cleaned: {error}") from error


def _session(manifest: str) -> int:
    found = _SESSION.search(manifest)
    return 0 if found is None else int(found[1])


def _loaded() -> set[str]:
    return {name for module, name in rng.modules().items() if module in sys.modules}


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"
