"""Ray as the server of a pool of workers. The one module that imports Ray.

Ray places workers, gives them their resources and tells when one dies; nothing of a study is kept
in it. What of Ray may block for ever where its head has died is not called in the driver's thread.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Ray's core ends a driver with exit code 1 where it cannot reach the head for a minute. The driver
# notices by itself, lets trials save, and halts the study.
os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "3600")
if "ray" not in sys.modules and (Path.home() / ".ray" / "auth_token").exists():
    # `ray start` asks for the token where there is one. A driver must say so before the import;
    # afterwards it would contradict what Ray has already settled on.
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import ray
from ray.exceptions import NodeDiedError, OutOfMemoryError

import sweep
from sweep.driver import heap
from sweep.driver.node import Node
from sweep.driver.pool import Pool
from sweep.driver.reaper import Reaper
from sweep.driver.server import Death, LostError
from sweep.driver.stopping import SIGNALS, shielding
from sweep.driver.watch import NodeWatch
from sweep.driver.worker import Worker
from sweep.errors import BackendError, ResourceError, SweepError
from sweep.spec import Resources

_OBJECT_STORE_BYTES = 128 * 1024**2  # messages are small; Ray's default is a third of the memory
CONNECT_S = 5.0
"""How long an existing cluster has to accept a connection, and its head to answer a question."""

SILENT_S = 20.0
"""The head of a cluster has died where it was silent for so long."""

_MOMENT_S = 3.0
_RESULT_S = 30.0  # a result that is there, but lies in the memory of a node that has died
_END_S = 5.0

_EXCLUDED = [".git", ".venv", "venv", "**/__pycache__", "*.egg-info"]
_ESSENTIAL = {"raylet": "its server (raylet) died", "gcs_server": "its head (GCS) died"}


class _Actor(Worker):
    """A worker as a Ray actor."""

    def begin(self, program: str | None, project: str) -> tuple[str, str | None]:
        """Where it was placed, and what is wrong with ``program``, if something is."""
        node = str(ray.get_runtime_context().get_node_id())
        return node, None if program is None else self.check(program, project)


_ACTOR: Any = ray.remote(_Actor)  # made once: Ray asks the head to keep each one that is made


class RayServer:
    """Ray on this machine, or the cluster at an address."""

    def __init__(self, address: str | None, project: str, store: Path | None) -> None:
        self._address, self._project, self._store = address, project, store
        self.restartable = address is None
        self.where = "Ray on this machine" if address is None else f"the cluster at {address}"
        self._reaper: Reaper | None = None
        self._watch: NodeWatch | None = None
        self._nodes: Sequence[Node] = ()
        self._home: str | None = None
        self._broken: str | None = None
        self._ending: list[threading.Thread] = []

    def start(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        with self._starting():
            _quieten()
            if self._address is None:
                self._reaper = self._reaper or Reaper()
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
            self._broken = None
            self._nodes = _nodes()
            if self._address is not None:
                if not self._address.startswith("ray://"):
                    self._home = ray.get_runtime_context().get_node_id()
                self._watch = NodeWatch(_nodes)
        heap.begin()

    def stop(self) -> None:
        if self._watch is not None:
            self._watch.close()
        until = time.monotonic() + _END_S
        for thread in self._ending:
            thread.join(max(0.0, until - time.monotonic()))
        self._ending.clear()
        with suppress(Exception):  # what has died cannot be left in order
            ray.shutdown()
        heap.end()

    def close(self) -> None:
        """End what is left of Ray on this machine."""
        if self._reaper is not None:
            self._reaper.close()

    @property
    def answers(self) -> bool:
        return self._watch is None or self._watch.silent_s < _MOMENT_S

    def died(self) -> Death | None:
        if self._broken is not None:
            return Death(self._broken)
        if self._watch is None:
            return _dead_process()
        if self._home is not None and not any(node.id == self._home for node in self._watch.nodes):
            return Death("the node on this machine died")
        if self._watch.silent_s > SILENT_S:
            return Death(f"its head has not answered for {SILENT_S:g} s", orderly=True)
        return None

    def nodes(self) -> Sequence[Node]:
        return self._nodes if self._watch is None else self._watch.nodes

    def actor(self, resources: Resources) -> Any:
        options: dict[str, Any] = {
            "num_cpus": resources.cpu,
            "num_gpus": resources.gpu,
            "max_restarts": 0,
            "max_concurrency": Worker.CONCURRENT_CALLS,
        }
        if resources.memory is not None:
            options["memory"] = resources.memory
        return _ACTOR.options(**options).remote(die_with_parent=self._address is None)

    def seen(self, project: str) -> str:
        """Workers of an existing cluster get a copy of the project as their working directory."""
        return project if self._address is None else ""

    def wait(self, calls: Sequence[Any], timeout: float) -> Sequence[Any]:
        if not calls:
            time.sleep(timeout)
            return []
        try:
            ready, _ = ray.wait(list(calls), num_returns=1, timeout=timeout)
        except Exception as error:  # noqa: BLE001  Ray, its client and gRPC have their own each
            self._broken = _cause(error)
            return []
        return ready

    def result(self, call: Any) -> Any:
        try:
            return ray.get(call, timeout=_RESULT_S)
        except Exception as error:  # whatever it is, nothing came of the call
            blameless = isinstance(error, OutOfMemoryError | NodeDiedError)
            raise LostError(_cause(error), str(error), blameless=blameless) from error

    def end(self, actor: Any) -> None:
        if self._broken is not None or not self.answers or self._head_is_dead():
            return  # it goes with Ray
        ending = threading.Thread(target=_kill, args=(actor,), daemon=True)
        ending.start()
        self._ending = [*(each for each in self._ending if each.is_alive()), ending]

    def _head_is_dead(self) -> bool:
        return self._watch is None and _dead_process() is not None

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """Turn what Ray raises into an error of ours, and keep the handlers of signals."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            yield
        except (Exception, SystemExit) as error:
            with suppress(Exception):
                ray.shutdown()
            raise self._unstarted(error) from error
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _unstarted(self, error: BaseException) -> SweepError:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if isinstance(error, OSError | RuntimeError | ValueError):
            where = self._address or "on this machine"
            return ResourceError(
                f"Ray {where}: cannot be reached or started: {said}; check the address, and "
                "RAY_AUTH_MODE if the cluster asks for a token"
            )
        return BackendError(
            f"{self.where}: did not start: {said}; give the same command again, when the machine "
            "is less busy"
        )

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


class RayBackend(Pool):
    """Trials on Ray."""

    def __init__(
        self, address: str | None = None, project: str = ".", store: Path | None = None
    ) -> None:
        """Use the cluster at ``address``, or start one on this machine and end it with the driver.

        An existing cluster is sent the directory ``project``, without the ``store``.
        """
        self._ray = RayServer(address, project, store)
        super().__init__(self._ray)

    def close(self) -> None:
        super().close()
        self._ray.close()


def _check_reachable(address: str) -> None:
    """Raise `OSError` where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()


def _quieten() -> None:
    """Ray prints the last lines of the log of what has died to the standard output, which is ours:
    `--json` is there."""
    private: Any = ray._private.worker
    private.print_to_stdstream = lambda *said, **options: None


def _nodes() -> Sequence[Node]:
    """The nodes that are alive. Raises whatever Ray does where the head does not answer in time."""
    client = getattr(ray._private.worker.global_worker, "gcs_client", None)
    if client is None:  # through Ray's client, which has its own way to the head
        known: Any = ray.nodes()  # type: ignore[no-untyped-call]
        found = [(each["NodeID"], each["Resources"], False) for each in known if each["Alive"]]
    else:
        drained = {str(id) for id in client.get_draining_nodes(timeout=CONNECT_S)}
        nodes = client.get_all_node_info(timeout=CONNECT_S).items()
        alive = [(id.hex(), node.resources_total) for id, node in nodes if node.state == 0]
        found = [(id, total, id in drained) for id, total in alive]
    return [
        Node(
            id,
            total.get("CPU", 0.0),
            total.get("GPU", 0.0),
            total.get("memory", 0.0),
            draining,
        )
        for id, total, draining in found
    ]


def _dead_process() -> Death | None:
    """Which process of Ray on this machine is gone that nothing goes on without."""
    node = ray._private.worker._global_node
    processes: dict[str, Any] = {} if node is None else node.all_processes
    for kind, what in _ESSENTIAL.items():
        if any(each.process.poll() is not None for each in processes.get(kind, ())):
            return Death(what, orderly=kind != "raylet")
    return None


def _kill(actor: Any) -> None:
    """In a thread: it waits for the head, which may have died a moment ago."""
    with suppress(Exception):
        ray.kill(actor, no_restart=True)


def _cause(error: BaseException) -> str:
    """What Ray says of the end of a worker, in a line."""
    if _GONE in str(error):
        return "it was killed (where memory ran out by the system), or crashed"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    detail = next((line for line in lines if "exit detail" in line.lower()), None)
    return detail or (lines[0] if lines else type(error).__name__)


_GONE = "Worker unexpectedly exits with a connection error"
"""What Ray says of a worker that went without a word, before a list of possible causes."""
