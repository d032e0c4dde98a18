"""The server: a thread for each request, until a signal ends it."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from queue import SimpleQueue
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from sweep.dashboard.guard import EVERYWHERE
from sweep.errors import UsageError

_POLL_S = 0.1
"""So soon it notices that it is to end."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server(ThreadingMixIn, WSGIServer):
    """Listens from its construction; no request waits for another one."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int) -> None:
        """On ``host``; port 0 stands for any that is free.

        Raises:
            UsageError: that cannot be had.
        """
        try:
            found = socket.getaddrinfo(
                host or None, port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
            )
            self.address_family = found[0][0]
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"{address(host, port)}: cannot listen there ({why}); give another --port or --host"
            ) from error

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def server_bind(self) -> None:
        # Without a question to the name service, which the class above asks for its own name.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.port
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser may leave at any time; all else is a fault that is said in a line."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            sys.stderr.write(f"sweep: a request failed: {error!r}\n")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Inside, requests are answered; at its end the port is free."""
        thread = threading.Thread(
            target=self.serve_forever, args=(_POLL_S,), name="server", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Handler(WSGIRequestHandler):
    timeout = 60
    """Seconds. Browsers open connections ahead of time, and each has a thread here."""

    def setup(self) -> None:
        super().setup()
        self.wfile = _Sending(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: an address may have the token in it."""


class _Sending(BufferedIOBase):
    """What a client is sent. One that is too slow in reading it is taken to have left: of that
    `wsgiref` makes no traceback."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        try:
            self._connection.sendall(data)
        except TimeoutError as error:
            raise ConnectionAbortedError("too slow") from error
        return len(data)


def address(host: str, port: int, token: str | None = None) -> str:
    """What a browser opens; of all addresses of this machine that with its name."""
    name = socket.gethostname() if host in EVERYWHERE else host
    place = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    return f"http://{place}/" + ("" if token is None else f"?token={token}")


@contextmanager
def until_signalled() -> Iterator[Callable[[], signal.Signals]]:
    """Inside, SIGINT and SIGTERM are taken over; what is yielded waits for the first of them."""
    came: SimpleQueue[int] = SimpleQueue()  # the one queue that a handler may put into
    before = {number: signal.signal(number, lambda n, frame: came.put(n)) for number in SIGNALS}
    try:
        yield lambda: signal.Signals(came.get())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
