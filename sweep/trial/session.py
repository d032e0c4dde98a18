"""What happens at the safe points of one attempt: reports, saves, stops and resumes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sweep.checkpoint import rng
from sweep.checkpoint.codec import Captured
from sweep.checkpoint.encoder import Encoder
from sweep.checkpoint.policy import Policy, Progress, due
from sweep.checkpoint.record import Kind
from sweep.checkpoint.saver import Saver
from sweep.checkpoint.store import Checkpoint, Draft
from sweep.errors import UsageError
from sweep.trial.message import Forked, Link, Reported, Verdict
from sweep.trial.metric import Report
from sweep.trial.outcome import Outcome, TrialExit, TrialPruned, TrialStopped
from sweep.trial.position import Position
from sweep.trial.registry import Registry
from sweep.trial.tracking import Tracker


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What does not change during an attempt. Fields as in `sweep.trial.message.Assignment`."""

    trial: int = 0
    attempt: int = 1
    session: int = 0
    seed: int
    """The trial's own seed, of 32 bits."""
    policy: Policy = field(default_factory=Policy)
    metric: str = ""
    verdicts: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Written into each manifest."""


class Session:
    """One attempt of a trial, behind its `Trial`."""

    def __init__(
        self,
        setting: Setting,
        link: Link,
        log: logging.Logger,
        saver: Saver | None = None,
        restored: Checkpoint | None = None,
    ) -> None:
        """Without a ``saver`` nothing is saved. ``restored`` is where to go on from."""
        self._setting, self._link, self._log = setting, link, log
        self._saver = saver
        self._restored = None if restored is None else restored.manifest.id
        tree = {} if restored is None else restored.tree
        self.position = Position.from_tree(tree.get("position", {}))
        forks, self.position.forks = self.position.forks, []
        if restored is not None and restored.manifest.kind is Kind.FORK:
            _begin_fork(self.position, restored.manifest.parent)
        elif self._restored is not None:
            self._send_forks(self._restored, forks)  # a kill may have come before the driver knew
        self.state: dict[str, Any] = dict(tree.get("state", {}))
        self.tracker = Tracker(self._restored, tree.get("tracked", {}))
        if restored is not None and restored.manifest.kind is Kind.FORK:
            self.tracker.refit(tree.get("born", {}), log.warning)
        self.loaders = Registry(self.rewind)
        self.loaders.restore(tree.get("loaders", {}), self.position.looped)
        self.reports: list[Report] = []
        self._rng: Mapping[str, Any] = tree.get("rng", {})
        self._restoring = restored is not None
        """Until the first safe point, all generators may still have to be put back."""
        self._preamble = self._restoring and self.position.looped
        """What is executed before the epochs again has been reported already."""
        self._inside = self.position.within
        """Whether the checkpoint is in the middle of an epoch."""
        self.position.within, self._beside = False, 0
        self._returned: dict[str, float] = {}
        self._loop, self._over = 0, self.position.loops
        self._exit: TrialExit | None = None
        self._stop, self._warned, self._state_read = False, False, False
        self._parent, self._written = self._restored, ""
        self._mark()

    # ---- going on

    def library_loaded(self, library: str) -> None:
        """A library with generators was imported: give them the state they have in this trial."""
        if self._restored is None or self._restoring:
            rng.seed(self._setting.seed, library)
        else:
            rng.restore(self._rng, self._setting.seed, library)

    def rewind(self) -> None:
        """Until the first safe point: put all generators back to where the checkpoint had them."""
        if self._restoring:
            rng.restore(self._rng, self._setting.seed)
            self.loaders.restore_sources()

    def state_read(self) -> None:
        """The user's state is read: where nothing else is restored, a trial goes on from here."""
        if not (self._state_read or self.tracker.used or self.position.looped):
            self.rewind()
        self._state_read = True

    # ---- progress

    def epochs(self, count: int) -> Iterator[int]:
        """See `Trial.epochs`."""
        loop, self._loop = self._loop, self._loop + 1
        if loop < self._over:
            return  # it was over, by its count or a break, when the checkpoint was taken
        self._preamble = False
        if self.position.epoch == count and not self._inside and self._restoring:
            self.rewind()  # the checkpoint is at the end of this very loop
            self._settle()
        while self.position.epoch < count:
            self._begin_epoch()
            try:
                yield self.position.epoch
            except GeneratorExit:
                self._leave_epoch()
                self.position.loops = loop + 1
                raise
            self._end_epoch()
            self._safe_point(resumable=True)
        self.position.loops = loop + 1

    def step(self) -> None:
        """See `Trial.step`."""
        self.position.global_step += 1
        self.loaders.step()
        self._safe_point(resumable=not self.position.looped or self._in_flight)

    def report(self, metrics: dict[str, float]) -> None:
        """See `Trial.report`."""
        position = self.position
        if self.position.within:
            if not self.loaders.waiting:  # else it is what the checkpoint contains already
                first = not self.reports or self.reports[-1].step != position.epoch
                position.partial |= metrics
                # A driver replaces what an earlier attempt said, so the first must be whole.
                self._send(position.epoch, dict(position.partial) if first else metrics)
        elif position.looped:
            if not self._preamble:
                self._beside += 1
                self._send(position.epoch + self._beside - 1, metrics)
        else:
            position.reports += 1
            self._send(position.reports - 1, metrics)
            # Before any training, a report is one of a preamble, which is executed again.
            self._safe_point(resumable=bool(self.state) or position.global_step > 0)

    def fork(self, changes: Mapping[str, Any]) -> None:
        """See `Trial.fork`."""
        if not self._saving:
            raise UsageError("trial.fork: nothing is tracked, so a fork has nothing to go on from")
        self.position.forks.append(
            # The journal does not know NumPy's numbers.
            {name: v.item() if hasattr(v, "item") else v for name, v in changes.items()}
        )

    def finish(self, returned: Mapping[str, float]) -> Outcome:
        """The function has returned: save the end, and return when it is durable.

        Raises:
            CheckpointError: something could not be saved.
            CheckpointMismatchError: the function did not take up what was restored.
        """
        if self._exit is not None:  # somebody caught it
            return self._exit.outcome
        self._settle()
        # A checkpoint is judged by what was reported where it was taken: the best value of a trial
        # that stopped early is not that of its last weights.
        self.position.metrics = {**returned, **self.position.metrics}
        self._returned = dict(returned)
        outcome = Outcome.PRUNED if self.position.prune else Outcome.COMPLETE
        self._save(Kind.PRUNED if self.position.prune else Kind.FINAL)
        if self._saver is not None:
            self._saver.wait()
        self._ask_for_forks()
        return outcome

    def close(self) -> None:
        """End all threads and processes of the attempt; what is being saved is saved first.

        Raises:
            CheckpointError: it could not be saved.
        """
        self.loaders.close()
        if self._saver is not None:
            self._saver.close()

    @property
    def _in_flight(self) -> bool:
        """Whether the middle of an epoch can be found again."""
        return self.position.within and (self.loaders.in_flight or self.tracker.has_loader)

    def _begin_epoch(self) -> None:
        if self.position.within:
            raise UsageError("trial.epochs() inside of trial.epochs(): one loop at a time")
        self.position.within = self.position.looped = True
        self._beside = 0
        self.loaders.begin_epoch(self.position.epoch)
        self.rewind()

    def _end_epoch(self) -> None:
        self.position.within = False
        self.position.epoch += 1
        self.position.partial = {}
        self.loaders.end_epoch()

    def _leave_epoch(self) -> None:
        """The loop was left by break or return. An epoch that has reported counts as completed."""
        if self.position.partial:
            self._end_epoch()
        self.position.within, self.loaders.epoch = False, None

    def _send(self, step: int, metrics: dict[str, float]) -> None:
        self.position.step = max(step, self.position.step or 0)
        self.position.metrics |= metrics
        if self.reports and self.reports[-1].step == step:
            self.reports[-1] |= metrics
        else:
            self.reports.append(Report(step, metrics))
        self._link.send(Reported(step=step, metrics=dict(metrics)))
        if self._setting.verdicts and self._setting.metric in metrics:
            verdict = self._link.verdict()
            self.position.prune |= verdict is Verdict.PRUNE
            self._stop |= verdict is Verdict.STOP

    # ---- safe points

    def _safe_point(self, *, resumable: bool) -> None:
        """``resumable``: the code that runs now would be found again from what is saved here."""
        if self._exit is not None:
            raise type(self._exit)
        self._settle()
        if self._saver is not None:
            self._saver.check()
        if self.position.prune and not self.position.within:
            self._leave(TrialPruned(), Kind.PRUNED, resumable)
        if self._stop or self._link.stopping:
            self._leave(TrialStopped(), Kind.STOP, resumable)
        if self.position.forks and resumable:
            self._fork()
        if self._saver is not None and due(self._setting.policy, self._since()):
            if resumable:
                self._save(Kind.PERIODIC)
            else:
                self._warn()

    def _fork(self) -> None:
        """Save here, durably, and ask for the forks that go on from it."""
        self._save(Kind.PERIODIC)
        if self._saver is not None:
            self._saver.wait()
        self._ask_for_forks()

    def _ask_for_forks(self) -> None:
        """What was saved last is durable, and holds the forks that were wanted."""
        forks, self.position.forks = self.position.forks, []
        if self._saver is not None and self._parent is not None:
            self._send_forks(self._parent, forks)

    def _send_forks(self, checkpoint: str, forks: list[dict[str, Any]]) -> None:
        for changes in forks:
            self._link.send(Forked(checkpoint=checkpoint, changes=changes))

    def _settle(self) -> None:
        """At the first safe point: all that was restored must have been taken up by now."""
        if self._restoring:
            self.tracker.check()
            self.loaders.check(self._restored)
            self._restoring = False

    def _leave(self, leaving: TrialExit, kind: Kind, resumable: bool) -> NoReturn:
        if resumable:
            self._save(kind)
        if self._saver is not None:
            self._saver.wait()
        if resumable:
            self._ask_for_forks()
        self._exit = leaving
        raise leaving

    def _since(self) -> Progress:
        epochs, steps, begun = self._marked
        return Progress(
            epochs=self.position.progress - epochs,
            steps=self.position.global_step - steps,
            seconds=time.monotonic() - begun,
        )

    def _mark(self) -> None:
        self._marked = (self.position.progress, self.position.global_step, time.monotonic())

    def _warn(self) -> None:
        if not self._warned and self.position.within and self._saving:
            self._warned = True
            self._log.warning(
                "no checkpoint in the middle of an epoch: the loop in it could not be gone on "
                "with; use trial.loader, and call trial.step() while it is iterated"
            )

    @property
    def _saving(self) -> bool:
        # A position alone would make a resumed trial skip epochs of what was not saved.
        return self.tracker.used or bool(self.state)

    def _save(self, kind: Kind) -> None:
        if self._saver is None or not self._saving:
            return
        setting, position = self._setting, self.position
        draft = Draft(
            trial=setting.trial,
            attempt=setting.attempt,
            session=setting.session,
            kind=kind,
            epoch=position.progress,
            global_step=position.global_step,
            step=position.step,
            parent=self._parent,
            metrics=dict(position.metrics),
            meta=setting.meta,
        )
        self._mark()
        if draft.manifest != self._written:  # else this very position has just been saved
            self._saver.save(draft, self._capture(kind))
            self._parent, self._written = draft.id, draft.manifest

    def _capture(self, kind: Kind) -> Captured:
        position = self.position.to_tree()
        if kind is Kind.PRUNED:  # who goes on from here does so in spite of the verdict
            position["prune"] = False
        encoder = Encoder()
        skeleton = {
            "position": encoder.encode(position, "position"),
            "tracked": encoder.encode(self.tracker.capture(), ""),
            "born": encoder.encode(self.tracker.born, "born"),
            "state": encoder.encode(self.state, "state"),
            "loaders": encoder.encode(self.loaders.capture(), "loaders"),
            "rng": encoder.encode(rng.capture(), "rng"),
            "returned": encoder.encode(self._returned, "returned"),
        }
        return Captured(skeleton, encoder.arrays)


def _begin_fork(position: Position, source: str | None) -> None:
    """A fork goes on in spite of a verdict, and of an end: with more epochs, for one."""
    position.prune = False
    if source is not None and source.endswith(f".{Kind.FINAL}"):
        position.loops = max(0, position.loops - 1)
