"""Runs real attempts: a link that records all, and stops or prunes at a chosen safe point."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweep.checkpoint.policy import Policy
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.store import CheckpointStore
from sweep.trial.attempt import run_attempt
from sweep.trial.message import Assignment, Ended, Message, Reported, Restored, Saved, Verdict
from sweep.trial.outcome import Outcome

PROJECT = str(Path(__file__).parent)


class Recorder:
    """A link: ``stop_at`` is the number of the safe point, from 1, at which it wants a stop."""

    def __init__(
        self, stop_at: int | None = None, verdict: Callable[[Reported], Verdict] | None = None
    ) -> None:
        self.messages: list[Message] = []
        self.safe_points = 0
        self._stop_at, self._verdict = stop_at, verdict

    def send(self, message: Message) -> None:
        self.messages.append(message)

    def verdict(self) -> Verdict:
        report = [message for message in self.messages if isinstance(message, Reported)][-1]
        return self._verdict(report) if self._verdict else Verdict.CONTINUE

    @property
    def stopping(self) -> bool:
        self.safe_points += 1
        return self._stop_at is not None and self.safe_points >= self._stop_at

    def when_stopping(self, call: Callable[[], None]) -> None:
        """Stops are at safe points here."""

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]

    @property
    def ended(self) -> Ended:
        assert isinstance(self.messages[-1], Ended)
        assert len(self.of(Ended)) == 1
        return self.messages[-1]

    @property
    def records(self) -> list[CheckpointRecord]:
        return [saved.record for saved in self.of(Saved)]


class Runner:
    """Runs attempts of one trial in a store, each going on where the one before left off."""

    def __init__(self, root: Path, program: Callable[[Any], Any] | str, **fields: Any) -> None:
        if callable(program):
            sys.modules["given_program"] = module = type(sys)("given_program")
            module.__file__ = None
            module.train = program
            program = "given_program:train"
        self.store = CheckpointStore(root / "checkpoints")
        self.known: list[str] = []
        self.reports: dict[int, dict[str, float]] = {}
        self._assignment = Assignment(
            **{
                "study": "study",
                "trial": 3,
                "attempt": 0,
                "session": 1,
                "params": {},
                "seed": 11,
                "program": program,
                "project": PROJECT,
                "root": str(root),
                "metric": "loss",
                "policy": Policy(epochs=1),
            }
            | fields
        )

    def run(self, link: Recorder | None = None, **fields: Any) -> Recorder:
        """The next attempt, restored from what was saved, newest first."""
        link = link or Recorder()
        self._assignment = replace(
            self._assignment,
            attempt=self._assignment.attempt + 1,
            restore=tuple(reversed(self.known)),
            **fields,
        )
        run_attempt(self._assignment, link)
        self._fold(link)
        return link

    def until_done(self, stops: Iterable[int]) -> Recorder:
        """Attempts that stop at these safe points each, then one to the end."""
        for stop in stops:
            link = self.run(Recorder(stop_at=stop))
            if link.ended.outcome is not Outcome.STOPPED:
                return link
        return self.run()

    def final(self, link: Recorder) -> Any:
        """The tracked state at the end."""
        assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
        assert link.records[-1].id.endswith(".final")
        return self.store.read(link.records[-1].manifest).tree["tracked"]

    def _fold(self, link: Recorder) -> None:
        """Reports as a driver keeps them: a restore takes back what comes after it."""
        fresh = set[int]()
        for message in link.messages:
            if isinstance(message, Restored):
                steps = {record.id: record.step for record in self._records}
                step = steps.get(message.checkpoint or "")
                keep = -1 if step is None else step
                fresh.clear()
                self.reports = {at: old for at, old in self.reports.items() if at <= keep}
            elif isinstance(message, Reported):
                older = self.reports[message.step] if message.step in fresh else {}
                self.reports[message.step] = older | message.metrics
                fresh.add(message.step)
            elif isinstance(message, Saved):
                self.known.append(message.record.manifest)
                self._records.append(message.record)

    @property
    def _records(self) -> list[CheckpointRecord]:
        return self.__dict__.setdefault("_seen", [])


def same(left: Any, right: Any) -> bool:
    """Equal to the bit, tensors included."""
    import torch

    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def saved(link: Recorder) -> list[tuple[str, str, str]]:
    return [(each.id, str(each.kind), str(each.content)) for each in link.records]
