"""The Ray backend: a pool of long-lived actors. The one module that imports Ray.

Each slot is an actor. One call to it is always under way: it takes orders there (an attempt, the
verdict on a report) and comes back with all that the attempt has said since. So a report and its
verdict cost one round trip, and many reports between two looks of the driver cost one, too. Ray
places actors, gives them their resources and tells when one dies; nothing of a study is kept in it.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
if "ray" not in sys.modules and (Path.home() / ".ray" / "auth_token").exists():
    # `ray start` asks for the token where there is one. A driver must say so before the import;
    # afterwards it would contradict what Ray has already settled on.
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import ray
from ray.exceptions import RayError

import sweep
from sweep.driver import heap
from sweep.driver.backend import Handler, Key, WorkerDied
from sweep.driver.reaper import Reaper
from sweep.driver.stopping import shielding
from sweep.driver.worker import Order, Worker, pack, unpack
from sweep.errors import ProgramError, ResourceError
from sweep.spec import Resources
from sweep.trial.message import Assignment, Ended, Verdict

_OBJECT_STORE_BYTES = 128 * 1024**2  # messages are small; Ray's default is a third of the memory
CONNECT_S = 5.0
"""How long an existing cluster has to accept a connection."""

_EXCLUDED = [".git", ".venv", "venv", "**/__pycache__", "*.egg-info"]


@dataclass(slots=True, eq=False)
class _Slot:
    """One actor, the call that is under way, and the attempt that it runs (None: idle)."""

    actor: Any
    resources: Resources
    project: str
    key: Key | None = None
    pending: Any = None
    orders: list[Order] = field(default_factory=list)

    def order(self, order: Order) -> None:
        """Send ``order`` with the next call, or by itself where one is under way."""
        if self.pending is None:
            self.orders.append(order)
        else:
            self.actor.submit.remote(pack([order]))

    def call(self) -> None:
        """See that a call is under way."""
        if self.pending is None:
            self.pending = self.actor.exchange.remote(pack(self.orders))
            self.orders = []

    def serves(self, resources: Resources, project: str) -> bool:
        return self.resources == resources and self.project == project


class RayBackend:
    name = "ray"

    def __init__(
        self, address: str | None = None, project: str = ".", store: Path | None = None
    ) -> None:
        """Use the cluster at ``address``, or start one on this machine and end it with the driver.

        An existing cluster is sent the directory ``project``, without the ``store``.
        """
        self._address, self._project = address, project
        self._store = store
        self._slots: list[_Slot] = []
        self._reaper: Reaper | None = None
        self._capacity = Resources(cpu=1)

    def open(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if self._address is None:
                self._reaper = Reaper()
                with shielding():
                    ray.init(
                        address="local",
                        include_dashboard=False,
                        object_store_memory=_OBJECT_STORE_BYTES,
                        **quiet,
                    )
            else:
                _check_reachable(self._address)
                ray.init(address=self._address, runtime_env=self._runtime_environment(), **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            where = self._address or "on this machine"
            raise ResourceError(
                f"Ray {where}: cannot be reached or started: {error}; check the address, and "
                "RAY_AUTH_MODE if the cluster asks for a token"
            ) from error
        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self._capacity = Resources(
            cpu=max(total.get("CPU", 0.0), 0.001),
            gpu=total.get("GPU", 0.0),
            memory=int(total.get("memory", 0)) or None,
        )
        heap.begin()

    def prepare(self, program: str, project: str, resources: Resources, count: int) -> None:
        slots = [slot for slot in self._slots if slot.serves(resources, project)]
        while len(slots) < count and self._room_for(resources):
            slots.append(self._start(resources, project))
        if not slots:
            slots = [self._idle_or_new(resources, project)]
        seen = self._seen_from_worker(project)
        try:
            problems = ray.get([slot.actor.check.remote(program, seen) for slot in slots])
        except RayError as error:
            raise ProgramError(
                f"program: {program}: the worker died importing it: {_cause(error)}"
            ) from error
        for problem in problems:
            if problem is not None:
                raise ProgramError(problem)

    def slots(self, resources: Resources) -> int:
        counts = [
            int(has / asked + 1e-9)
            for has, asked in zip(_amounts(self._capacity), _amounts(resources), strict=True)
            if asked > 0
        ]
        return min(counts, default=1)

    def room(self, resources: Resources) -> bool:
        busy = [slot.resources for slot in self._slots if slot.key is not None]
        return _fits([*busy, resources], self._capacity)

    def dispatch(self, assignment: Assignment, resources: Resources) -> None:
        slot = self._idle_or_new(resources, assignment.project)
        slot.key = Key.of(assignment)
        if self._address is not None:
            assignment = replace(assignment, project=self._seen_from_worker(assignment.project))
        slot.order(assignment)
        slot.call()

    def poll(self, timeout: float, handle: Handler) -> None:
        for slot in self._slots:
            slot.call()  # idle ones too: so the death of one is noticed before it gets a trial
        pending = {slot.pending: slot for slot in self._slots}
        if not pending:
            return
        ready, _ = ray.wait(list(pending), num_returns=1, timeout=timeout)
        for call in ready:
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
        ray.shutdown()
        if self._reaper is not None:
            self._reaper.close()
        heap.end()

    def _receive(self, slot: _Slot, handle: Handler) -> None:
        call, slot.pending = slot.pending, None
        try:
            batch = unpack(ray.get(call))
        except RayError as error:
            key = slot.key
            self._end(slot)
            if key is not None:
                handle(key, WorkerDied(_cause(error), str(error)))
            return
        for key, message in batch:
            if slot.key == key and isinstance(message, Ended):
                slot.key = None
            handle(key, message)
        if slot.key is not None and slot in self._slots:
            slot.call()  # at once: a verdict may be waited for. An idle slot waits for a dispatch

    def _holding(self, key: Key) -> Iterator[_Slot]:
        return (slot for slot in list(self._slots) if slot.key == key)

    def _idle_or_new(self, resources: Resources, project: str) -> _Slot:
        idle = [slot for slot in self._slots if slot.key is None]
        for slot in idle:
            if slot.serves(resources, project):
                return slot
        for slot in idle:  # of another shape or project: they make room
            if self._room_for(resources):
                break
            self._end(slot)
        return self._start(resources, project)

    def _room_for(self, resources: Resources) -> bool:
        """Whether another actor fits beside all that there are, idle ones included."""
        return _fits([resources, *(slot.resources for slot in self._slots)], self._capacity)

    def _start(self, resources: Resources, project: str) -> _Slot:
        options: dict[str, Any] = {
            "num_cpus": resources.cpu,
            "num_gpus": resources.gpu,
            "max_restarts": 0,
            "max_concurrency": Worker.CONCURRENT_CALLS,
        }
        if resources.memory is not None:
            options["memory"] = resources.memory
        actor: Any = (
            ray.remote(Worker).options(**options).remote(die_with_parent=self._address is None)
        )
        slot = _Slot(actor, resources, project)
        self._slots.append(slot)
        return slot

    def _end(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        ray.kill(slot.actor, no_restart=True)

    def _runtime_environment(self) -> dict[str, Any]:
        """The project and this package, for the workers of an existing cluster.

        Ray takes directories for a whole job only, hence one project for a driver.
        """
        project = self._project
        excluded = list(_EXCLUDED)
        if self._store is not None and self._store.is_relative_to(project):
            excluded.append(f"/{self._store.relative_to(project)}")
        return {
            "working_dir": project,
            "py_modules": [str(Path(sweep.__file__).parent)],
            "excludes": excluded,
        }

    def _seen_from_worker(self, project: str) -> str:
        """Workers of an existing cluster get a copy of the project as their working directory."""
        return project if self._address is None else ""


def _check_reachable(address: str) -> None:
    """Raise `OSError` where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()


def _amounts(resources: Resources) -> tuple[float, float, float]:
    return resources.cpu, resources.gpu, float(resources.memory or 0)


def _fits(wanted: list[Resources], capacity: Resources) -> bool:
    sums = [sum(column) for column in zip(*map(_amounts, wanted), strict=True)]
    return all(
        asked <= has + 1e-9 for asked, has in zip(sums, _amounts(capacity), strict=True) if asked
    )


def _cause(error: BaseException) -> str:
    """What Ray says of the end of a worker, in a line."""
    if _GONE in str(error):
        return "it was killed (where memory ran out by the system), or crashed"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    detail = next((line for line in lines if "exit detail" in line.lower()), None)
    return detail or (lines[0] if lines else type(error).__name__)


_GONE = "Worker unexpectedly exits with a connection error"
"""What Ray says of a worker that went without a word, before a list of possible causes."""
