"""The server beside clients that are slow, or say nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from sweep.dashboard import server
from sweep.dashboard.server import Server

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_who_does_not_read_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a while, without a word: others are answered meanwhile, and the server ends at once."""
    monkeypatch.setattr(server._Handler, "timeout", 0.2)
    closed = threading.Semaphore(0)

    class Watched(Server):
        def shutdown_request(self, request: Any) -> None:
            super().shutdown_request(request)
            closed.release()

    def large(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"x" * 50_000_000 if environ["PATH_INFO"] == "/" else b"small"]

    served = Watched("127.0.0.1", 0)
    served.set_app(large)
    place = ("127.0.0.1", served.port)
    with socket.socket() as deaf, socket.socket() as mute, served.serving():
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        deaf.connect(place)
        deaf.sendall(REQUEST)
        mute.connect(place)
        mute.sendall(REQUEST[:20])
        with socket.create_connection(place, timeout=10) as other:
            other.sendall(REQUEST.replace(b"/ ", b"/s ", 1))
            assert other.makefile("rb").read().endswith(b"small")
        for _ in range(3):
            assert closed.acquire(timeout=10)
    assert capsys.readouterr().err == ""
