"""A pool of long-lived workers, on nodes that may come and go, under a server that may die.

Each slot is a worker. One call to it is always under way: it takes orders there (an attempt, the
verdict on a report) and comes back with all that the attempt has said since. So a report and its
verdict cost one round trip, and many reports between two looks of the driver cost one, too.

A trial is bound to a worker that runs already, never to one that waits for a node. What dies under
an attempt (worker, node, server) is told as `WorkerDied`. Where the server itself dies it is
started again, `RESTARTS` times without a word of a trial in between, if it is the driver's own;
else the pool has a `fault`, and the driver halts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sweep.driver.backend import Handler, Key, WorkerDied
from sweep.driver.node import Node, fits, nodes_text, slots
from sweep.driver.plan import IN_A_ROW, pause_s
from sweep.driver.server import Death, LostError, Server
from sweep.driver.slot import Slot
from sweep.driver.worker import unpack
from sweep.errors import BackendError, ProgramError, SweepError
from sweep.spec import Resources
from sweep.trial.message import Assignment, Ended, Verdict

_log = logging.getLogger("sweep")

RESTARTS = 3
"""How often the server is started again while no trial says anything in between."""

LEAVE_S = 10.0
"""How long running trials have to save and leave where only the server's head has died."""

PLACE_S = 10.0
"""A worker that was not placed for so long is worth a word."""

_LOOK_S = 0.1


class Pool:
    """Runs attempts on workers of a `Server`.

    Attributes:
        fault: what has ended the pool for good, if something has.
    """

    name = "ray"

    def __init__(self, server: Server) -> None:
        self._server = server
        self._slots: list[Slot] = []
        self._wanted: dict[tuple[Resources, str], int] = {}
        self._nodes: Sequence[Node] = ()
        self._known: set[str] = set()
        self._restarts = 0
        self._leave_by: float | None = None
        self._stillborn, self._start_after = 0, 0.0
        self.fault: SweepError | None = None

    def open(self) -> None:
        self._server.start()
        self._see(self._server.nodes())

    def prepare(self, program: str, project: str, resources: Resources, count: int) -> None:
        self._wanted[resources, project] = count
        self._fill(resources, project, program)
        mine = [slot for slot in self._slots if slot.serves(resources, project)]
        waiting, begun, said = [slot for slot in mine if slot.node is None], time.monotonic(), False
        while waiting:
            self._check_server()
            for call in self._server.wait([slot.pending for slot in waiting], _LOOK_S):
                slot = next(each for each in waiting if each.pending is call)
                waiting.remove(slot)
                self._begun(slot, program)
            late = time.monotonic() - begun > PLACE_S and not self._server.restartable
            if late and any(slot.node is not None for slot in mine):
                return  # the others come as Ray finds room for them
            if late and not said:
                said = True
                _log.warning("program: %s: %s", program, self.shortage(resources))

    def slots(self, resources: Resources) -> int:
        return slots(self._nodes, resources)

    def room(self, resources: Resources, project: str) -> bool:
        if self._leave_by is not None or self.fault is not None or not self._server.answers:
            return False
        if self._idle(resources, project) is None:
            self._fill(resources, project)
            return False  # what was started now, or before, says when it is there
        return True

    def shortage(self, resources: Resources) -> str | None:
        if self._leave_by is not None or self.fault is not None:
            return None
        if not self._server.answers:
            return f"{self._server.where} does not answer"
        if not self.slots(resources):
            return f"{self._server.where} has {nodes_text(self._nodes)}"
        asked = [slot.asked for slot in self._slots if slot.resources == resources]
        unplaced = not any(slot.node for slot in self._slots if slot.resources == resources)
        if asked and unplaced and time.monotonic() - min(asked) > PLACE_S:
            return f"{self._server.where} has {nodes_text(self._nodes)}, and no room on them"
        return None

    def dispatch(self, assignment: Assignment, resources: Resources) -> None:
        slot = self._idle(resources, assignment.project)
        if slot is None:
            raise RuntimeError(f"no room for trial {assignment.trial}: ask for `room` first")
        slot.key = Key.of(assignment)
        slot.order(replace(assignment, project=self._server.seen(assignment.project)))
        slot.call()

    def poll(self, timeout: float, handle: Handler) -> None:
        self._see_to_server(handle)
        self._follow_nodes(handle)
        for slot in self._slots:
            slot.call()  # idle ones too: so the death of one is noticed before it gets a trial
        pending = {slot.pending: slot for slot in self._slots}
        for call in self._server.wait(list(pending), timeout):
            self._receive(pending[call], handle)

    def command(self, key: Key, verdict: Verdict) -> None:
        for slot in self._holding(key):
            slot.order((key, verdict))

    def interrupt(self) -> None:
        pass  # the driver's loop wakes often enough, and Ray must not be called in a signal handler

    def kill(self, key: Key) -> None:
        for slot in self._holding(key):
            self._end(slot)

    def close(self) -> None:
        for slot in list(self._slots):
            self._end(slot)
        self._server.stop()

    def _receive(self, slot: Slot, handle: Handler) -> None:
        if slot.node is None:
            self._placed(slot)
            return
        call, slot.pending = slot.pending, None
        try:
            batch = unpack(self._server.result(call))
        except LostError as lost:
            self._lose(slot, WorkerDied(lost.reason, lost.detail), handle)
            return
        self._restarts = 0  # the server is of use
        worn = False
        for key, message in batch:
            if slot.key == key and isinstance(message, Ended):
                slot.key, worn = None, message.worn
            handle(key, message)
        if worn and slot in self._slots:
            self._end(slot)  # the next trial gets a new one
        if slot.key is not None and slot in self._slots:
            slot.call()  # at once: a verdict may be waited for. An idle slot waits for a dispatch

    def _placed(self, slot: Slot) -> None:
        """A worker says that it is there; or it died before, and another one is asked for."""
        call, slot.pending = slot.pending, None
        try:
            slot.node, problem = self._server.result(call)
        except LostError as lost:
            self._end(slot)
            self._stillborn += 1
            self._start_after = time.monotonic() + pause_s(self._stillborn)
            said = f"{self._server.where}: a worker died before it was of use: {lost.reason}"
            _log.warning(said)
            if self._stillborn >= IN_A_ROW:
                self.fault = BackendError(f"{said} ({IN_A_ROW} in a row)")
            return
        self._stillborn = 0
        if problem is not None:
            self.fault = ProgramError(problem)

    def _begun(self, slot: Slot, program: str) -> None:
        """As `_placed`, where the program is imported for the first time."""
        call, slot.pending = slot.pending, None
        try:
            slot.node, problem = self._server.result(call)
        except LostError as lost:
            self._check_server()
            if lost.blameless:
                raise BackendError(
                    f"{self._server.where}: a worker died before it was of use: {lost.reason}"
                ) from lost
            raise ProgramError(
                f"program: {program}: the worker died importing it: {lost.reason}"
            ) from lost
        if problem is not None:
            raise ProgramError(problem)

    def _holding(self, key: Key) -> Iterator[Slot]:
        return (slot for slot in list(self._slots) if slot.key == key)

    def _idle(self, resources: Resources, project: str) -> Slot | None:
        return next(
            (
                slot
                for slot in self._slots
                if slot.idle and not slot.leaving and slot.serves(resources, project)
            ),
            None,
        )

    def _fill(self, resources: Resources, project: str, program: str | None = None) -> None:
        """Start as many workers of a kind as are wanted and fit, or one in place of idle others."""
        if time.monotonic() < self._start_after:
            return
        mine = [slot for slot in self._slots if slot.serves(resources, project)]
        wanted = self._wanted.get((resources, project), 1)
        while len(mine) < wanted and self._has_room(resources):
            mine.append(self._start(resources, project, program))
        starting = any(slot.node is None for slot in mine)
        busy = [slot.placed for slot in self._slots if slot.key is not None]
        if starting or len(mine) >= wanted or not fits(self._nodes, busy, resources):
            return
        for slot in [slot for slot in self._slots if slot.key is None]:
            if self._has_room(resources):
                break
            self._end(slot)
        self._start(resources, project, program)

    def _has_room(self, resources: Resources) -> bool:
        return fits(self._nodes, [slot.placed for slot in self._slots], resources)

    def _start(self, resources: Resources, project: str, program: str | None) -> Slot:
        actor = self._server.actor(resources)
        slot = Slot(
            actor, resources, project, actor.begin.remote(program, self._server.seen(project))
        )
        self._slots.append(slot)
        return slot

    def _end(self, slot: Slot) -> None:
        self._slots.remove(slot)
        self._server.end(slot.actor)

    def _lose(self, slot: Slot, died: WorkerDied, handle: Handler) -> None:
        self._end(slot)
        if slot.key is not None:
            handle(slot.key, died)

    def _see(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._known |= {node.id for node in nodes}

    def _follow_nodes(self, handle: Handler) -> None:
        """Leave nodes that are lost or drained, and give up waiting for a place that is gone."""
        nodes = self._server.nodes()
        changed = nodes is not self._nodes
        self._see(nodes)
        there = {node.id: node for node in nodes}
        for slot in list(self._slots):
            node = None if slot.node is None else there.get(slot.node)
            if slot.node in self._known and node is None:
                self._lose(slot, WorkerDied("its node was lost"), handle)
            elif node is not None and node.draining:
                self._leave(slot)
        if changed:
            kept = [slot.placed for slot in self._slots if slot.node is not None]
            for slot in [slot for slot in self._slots if slot.node is None]:
                if fits(nodes, kept, slot.resources):
                    kept.append(slot.placed)
                else:
                    self._end(slot)

    def _leave(self, slot: Slot) -> None:
        """Have the attempt save, to go on elsewhere; an idle worker goes at once."""
        if slot.key is None:
            self._end(slot)
        elif not slot.leaving:
            slot.leaving = True
            slot.order((slot.key, Verdict.STOP))

    def _check_server(self) -> None:
        """Raises `BackendError` where the server has died."""
        death = self._server.died()
        if death is not None:
            raise BackendError(f"{self._server.where}: {death.what}")

    def _see_to_server(self, handle: Handler) -> None:
        """Where the server has died: let go of what ran on it, and start it again or give up."""
        death = None if self.fault is not None else self._server.died()
        if death is None:
            return
        if death.orderly and self._may_save():
            return
        self._leave_by = None
        keys = [slot.key for slot in self._slots if slot.key is not None]
        self._slots.clear()
        for key in keys:
            handle(key, WorkerDied(death.what))
        if not self._server.restartable:
            self.fault = BackendError(f"{self._server.where}: {death.what}")
        elif self._restarts >= RESTARTS:
            self.fault = BackendError(
                f"{self._server.where}: {death.what}; it was started again {RESTARTS} times before"
            )
        else:
            self._restart(death)

    def _may_save(self) -> bool:
        """Whether attempts are still saving: they reach the driver without the head."""
        if self._leave_by is None:
            self._leave_by = time.monotonic() + LEAVE_S
            for slot in self._slots:
                if slot.key is not None and not slot.leaving:
                    slot.leaving = True
                    slot.order((slot.key, Verdict.STOP))
        busy = any(slot.key is not None for slot in self._slots)
        return busy and time.monotonic() < self._leave_by

    def _restart(self, death: Death) -> None:
        _log.warning("%s: %s; it is started again", self._server.where, death.what)
        while self._restarts < RESTARTS:
            self._restarts += 1
            try:
                self._server.stop()
                self._server.start()
            except SweepError as error:  # a machine that is too busy, say
                _log.warning("%s", error)
                self.fault = BackendError(str(error))
            else:
                self.fault = None
                self._see(self._server.nodes())
                return
