"""A real server of MLflow on loopback, and a door to it that can be shut or lose answers."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from conftest import until


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class MlflowServer:
    """``mlflow server`` over a database of SQLite."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.log = directory / "server.log"
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{directory / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(directory / "artifacts")]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._healthy)

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # it and its workers; nothing is to be saved
        self._process.wait()

    def _healthy(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class Door:
    """A port that leads to a server once it is opened. Each ``losing``-th answer is lost.

    So a request may have been carried out and its sender not know.
    """

    def __init__(self, port: int) -> None:
        self.port, self._inner = free_port(), port
        self.uri = f"http://127.0.0.1:{self.port}"
        self.losing = self.answers = self.lost = 0
        self._listener: socket.socket | None = None

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._let_in, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _let_in(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                outer, _ = listener.accept()
                threading.Thread(target=self._lead, args=(outer,), daemon=True).start()

    def _lead(self, outer: socket.socket) -> None:
        with outer, socket.create_connection(("127.0.0.1", self._inner)) as inner:
            asking = threading.Thread(target=self._carry, args=(outer, inner), daemon=True)
            asking.start()
            self._carry(inner, outer)
            asking.join()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                if source.getpeername()[1] == self._inner and self._loses():
                    break
                target.sendall(data)
        except OSError:
            pass  # one of the two has hung up
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _loses(self) -> bool:
        self.answers += 1
        lost = self.losing > 0 and self.answers % self.losing == 0
        self.lost += lost
        return lost
