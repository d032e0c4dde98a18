"""What happens at the safe points of one attempt: reports, saves, stops and resumes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sweep.checkpoint import rng
from sweep.checkpoint.buffer import Buffers
from sweep.checkpoint.encoder import Captured, Encoder, child
from sweep.checkpoint.exclusion import Keys, excluded, unmatched, without
from sweep.checkpoint.policy import Policy, Scope
from sweep.checkpoint.record import Content, Kind
from sweep.checkpoint.saver import Saver
from sweep.checkpoint.store import Checkpoint, Draft
from sweep.errors import CheckpointMismatchError, UsageError
from sweep.trial.agreement import GO_ON, Agreement, Alone, Decision, Place
from sweep.trial.autosave import Autosave, Callback, Demand
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
    scope: Scope = field(default_factory=Scope)
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
        agreement: Agreement | None = None,
    ) -> None:
        """Without a ``saver`` nothing is saved. ``restored`` is where to go on from.

        ``agreement`` is with the other processes of the trial, where there are any.
        """
        self._agreement = agreement or Alone()
        self._saved_by = None if restored is None else restored.manifest.world_size
        self._theirs: dict[str, float] | None = None
        self._setting, self._link, self._log = setting, link, log
        self._saver, self._buffers = saver, Buffers()
        self._restored = None if restored is None else restored.manifest.id
        tree = {} if restored is None else restored.tree
        self.position = Position.from_tree(tree.get("position", {}))
        forks, self.position.forks = self.position.forks, []
        if restored is not None and restored.manifest.kind is Kind.FORK:
            _begin_fork(self.position, restored.manifest.parent)
        elif self._restored is not None:
            self._send_forks(self._restored, forks)  # a kill may have come before the driver knew
        self.state: dict[str, Any] = dict(tree.get("state", {}))
        self.tracker = Tracker(
            self._restored,
            tree.get("tracked", {}),
            [tuple(keys) for keys in tree.get("excluded", [])],
            tree.get("classes", {}),
        )
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
        self._matched = not setting.scope.exclude
        """Whether the patterns of what is left out have been held against a state."""
        self._parent, self._written = self._restored, ""
        self._autosave = (
            None if saver is None else Autosave(setting.policy, setting.scope, saver, self.position)
        )
        self._began_at = self.position.global_step
        self._begun, self._trained_s = time.monotonic(), self.position.training_s
        if self.position.begun is None:
            self.position.begun = time.time()

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
            self._safe_point("the end of an epoch", resumable=True)
        self.position.loops = loop + 1

    def step(self) -> None:
        """See `Trial.step`."""
        self.position.global_step += 1
        self.loaders.step()
        resumable = not self.position.looped or self._in_flight
        self._safe_point("trial.step()", resumable=resumable, patient=False)

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
            resumable = bool(self.state) or position.global_step > 0
            self._safe_point("trial.report()", resumable=resumable)

    def fork(self, changes: Mapping[str, Any]) -> None:
        """See `Trial.fork`."""
        if self._agreement.size > 1:
            raise UsageError("trial.fork: not in a trial of several processes; use `sweep fork`")
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
        if self._theirs is not None:
            if returned and returned != self._theirs:
                raise UsageError(
                    "trial.spawn: what rank 0 returns is the trial's result; return what spawn "
                    "returns, and nothing else"
                )
            return Outcome.COMPLETE
        self._settle()
        # A checkpoint is judged by what was reported where it was taken: the best value of a trial
        # that stopped early is not that of its last weights.
        self.position.metrics = {**returned, **self.position.metrics}
        self._returned = dict(returned)
        decision = self._agreement.reach(self._place("the end of the trial"), self._decide_end)
        if decision.demand is not None:
            self._save(decision.demand)
        self._wait()
        self._ask_for_forks()
        return decision.leave or Outcome.COMPLETE

    def result(self, returned: dict[str, float]) -> dict[str, float]:
        """What the trial has come to, where its function has ``returned`` that."""
        return returned if self._theirs is None else self._theirs

    def checkpoint(self, *, wait: bool, then: Callback | None) -> str | None:
        """See `Trial.checkpoint`."""
        if self._autosave is None:
            return None
        decision = self._agreement.reach(self._place("trial.checkpoint()"), self._decide_checkpoint)
        if decision.demand is None and not self._saving:
            return None
        self._autosave.ask(then, wait=wait)
        if decision.demand is None:
            return None  # what runs now would not be found again: the next safe point saves
        self._settle()
        identifier = self._save(decision.demand)
        if wait:
            self._wait()
        return identifier

    @property
    def last_checkpoint(self) -> str | None:
        """See `Trial.last_checkpoint`."""
        last = None if self._saver is None else self._saver.last
        return self._restored if last is None else last.id

    def close(self) -> None:
        """End all threads and processes of the attempt; what is being saved is saved first.

        Raises:
            CheckpointError: it could not be saved.
        """
        self.loaders.close()
        if self._saver is not None:
            self._saver.close()

    # ---- for `sweep.trial.ranks`

    def hand_over(self, size: int) -> None:
        """From here on the trial runs in ``size`` other processes.

        Raises:
            UsageError: it has been handed over, or begun to run in this one.
            CheckpointMismatchError: it was saved by another number of processes.
        """
        if self._theirs is not None:
            raise UsageError("trial.spawn: once is all that a trial function can call it")
        begun = self._loop or self.reports or self._state_read or self.position.within
        if begun or self.tracker.used or self.position.global_step > self._began_at:
            raise UsageError(
                "trial.spawn: track, epochs, step, report and state belong into the function that "
                "is spawned; here none may be used before"
            )
        self._check_world(size)
        self._theirs = {}

    def heard(self, message: Reported) -> None:
        """The other processes have reported, and the driver knows."""
        self.reports.append(Report(message.step, message.metrics))

    def come_back(self, outcome: Outcome, returned: Mapping[str, float]) -> None:
        """The other processes have saved and ended."""
        self._theirs = dict(returned)
        if outcome is not Outcome.COMPLETE:
            self._exit = TrialPruned() if outcome is Outcome.PRUNED else TrialStopped()
            raise self._exit

    # ---- for `sweep.trial.once`

    def when_stopping(self, call: Callable[[], None]) -> None:
        """See `sweep.trial.message.Link`."""
        self._link.when_stopping(call)

    def leave(self) -> NoReturn:
        """Leave as stopped from where nothing can be saved; what was saved before stands."""
        self._leave(TrialStopped(), None)

    def progress(self) -> tuple[int, int, int, int]:
        """Changes with every step, report and epoch."""
        position = self.position
        beside = self._beside + len(position.partial)
        return position.epoch, position.global_step, position.reports, beside

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
        if self._autosave is not None:
            self._autosave.reported(metrics)
        self._link.send(Reported(step=step, metrics=dict(metrics)))
        if self._setting.verdicts and self._setting.metric in metrics:
            verdict = self._link.verdict()
            self.position.prune |= verdict is Verdict.PRUNE
            self._stop |= verdict is Verdict.STOP

    # ---- safe points

    def _safe_point(self, at: str, *, resumable: bool, patient: bool = True) -> None:
        """``resumable``: the code that runs now would be found again from what is saved here.

        ``patient``: a save that is due may wait for the one in flight.
        """
        if self._exit is not None:
            raise type(self._exit)
        self._settle()
        if self._saver is not None:
            self._saver.check()
        decision = self._agreement.reach(
            self._place(at), lambda: self._decide(resumable=resumable, patient=patient)
        )
        if decision.leave is not None:
            leaving = TrialPruned() if decision.leave is Outcome.PRUNED else TrialStopped()
            self._leave(leaving, decision.demand)
        if self._autosave is not None:
            self._autosave.deliver()
        if decision.demand is not None:
            self._save(decision.demand)
            if decision.demand.wait:
                self._wait()

    def _place(self, at: str) -> Place:
        position = self.position
        return Place(at, position.epoch, position.global_step, position.reports)

    def _decide(self, *, resumable: bool, patient: bool) -> Decision:
        saves = resumable and self._saving
        if self.position.prune and not self.position.within:
            return Decision(Demand(kind=Kind.PRUNED) if saves else None, Outcome.PRUNED)
        if self._stop or self._link.stopping:
            return Decision(Demand(kind=Kind.STOP) if saves else None, Outcome.STOPPED)
        if self.position.forks and resumable:
            self._fork()
        demand = None if self._autosave is None else self._autosave.demand(patient=patient)
        if demand is None:
            return GO_ON
        if not resumable:
            self._warn()
        return Decision(demand) if saves else GO_ON

    def _decide_checkpoint(self) -> Decision:
        position = self.position
        begun = bool(self.state) or position.global_step > 0
        found_again = self._in_flight if position.looped else begun
        return Decision(Demand(kind=Kind.MANUAL)) if found_again and self._saving else GO_ON

    def _decide_end(self) -> Decision:
        # A fork can only go on from a full one.
        final = Content.FULL if self.position.forks else self._setting.scope.final
        if self.position.prune:
            return Decision(Demand(kind=Kind.PRUNED) if self._saving else None, Outcome.PRUNED)
        if final is None or not self._saving:
            return GO_ON
        return Decision(Demand(kind=Kind.FINAL, content=final))

    def _fork(self) -> None:
        """Save here, durably, and ask for the forks that go on from it."""
        self._save(Demand(kind=Kind.MANUAL))
        self._wait()
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
            self._check_world(self._agreement.size)
            self.tracker.check()
            self.loaders.check(self._restored)
            self._restoring = False

    def _check_world(self, size: int) -> None:
        if self._saved_by is not None and self._saved_by != size:
            raise CheckpointMismatchError(
                f"checkpoint {self._restored} was saved by {_processes(self._saved_by)}, but the "
                f"trial has {_processes(size)}: use as many again, or start a new study"
            )

    def _leave(self, leaving: TrialExit, demand: Demand | None) -> NoReturn:
        if demand is not None:
            self._save(demand)
        self._wait()
        if demand is not None:
            self._ask_for_forks()
        self._exit = leaving
        raise leaving

    def _wait(self) -> None:
        """Until all that was saved is durable and whoever wanted to know was told."""
        if self._saver is not None and self._autosave is not None:
            self._saver.wait()
            self._autosave.deliver()

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

    def _save(self, demand: Demand) -> str | None:
        """Begin a save; its id, or that of the save that was made at this very position."""
        if self._saver is None or self._autosave is None:
            return None
        kind, content, replace = demand.kind, demand.content, demand.replace
        begun = time.monotonic()
        setting, position = self._setting, self.position
        position.training_s = self._trained_s + begun - self._begun
        spent = {
            "training_s": position.training_s,
            "wall_s": time.time() - (position.begun or time.time()),
        }
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
            meta={**setting.meta, **spent},
            content=content,
        )
        if draft.manifest == self._written:
            self._saver.secure()
            self._autosave.repeated(draft.id)
            return draft.id
        if not replace:
            self._saver.wait()  # before the capture, so that its memory is free again
        self._saver.save(draft, self._capture(kind, content), replace=replace)
        self._autosave.made(content, draft.id, time.monotonic() - begun)
        self._parent, self._written = draft.id, draft.manifest
        return draft.id

    def _capture(self, kind: Kind, content: Content) -> Captured:
        rank = self._agreement.rank
        root = f"rank {rank}" if rank else ""  # arrays of all ranks have names of their own
        position = self.position.to_tree()
        if kind is Kind.PRUNED:  # who goes on from here does so in spite of the verdict
            position["prune"] = False
        encoder, full = Encoder(self._buffers), content is Content.FULL
        tracked, parts = self._tracked(content)
        tree: dict[str, Any] = {
            "position": position,
            "born": self.tracker.born,
            "classes": dict(self.tracker.classes),
            "state": self.state if full else {},
            "loaders": self.loaders.capture() if full else {},
            "rng": rng.capture() if full else {},
            "returned": self._returned,
        }
        if parts:
            tree["excluded"] = [list(keys) for keys in parts]
        skeleton = {name: encoder.encode(item, child(root, name)) for name, item in tree.items()}
        skeleton["tracked"] = encoder.encode(tracked, root)
        return encoder.captured(skeleton)

    def _tracked(self, content: Content) -> tuple[dict[str, Any], list[Keys]]:
        """The tracked states that ``content`` holds, and what was left out of them by pattern."""
        if content is Content.LIGHT:
            return {}, []
        states, scope = self.tracker.capture(), self._setting.scope
        if content is Content.PARTIAL:
            unknown = [name for name in scope.components if name not in states]
            if unknown:
                raise UsageError(
                    f"checkpoint.components: nothing is tracked as {', '.join(unknown)}; "
                    f"tracked are {', '.join(sorted(states)) or 'no objects'}"
                )
            states = {name: states[name] for name in scope.components}
        elif not self._matched and (self.position.global_step or self.position.progress):
            self._matched = True  # before a first step, an optimizer has nothing yet
            self._warn_of_patterns(states)
        parts = excluded(states, scope.exclude)
        return without(states, parts), parts

    def _warn_of_patterns(self, states: dict[str, Any]) -> None:
        for pattern in unmatched(states, self._setting.scope.exclude):
            self._log.warning("checkpoint.exclude: %s matches nothing that is tracked", pattern)


def _begin_fork(position: Position, source: str | None) -> None:
    """A fork goes on in spite of a verdict, and of an end: with more epochs, for one."""
    position.prune = False
    if source is not None and source.endswith(f".{Kind.FINAL}"):
        position.loops = max(0, position.loops - 1)


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
