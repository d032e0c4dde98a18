"""What stands before the dashboard: who may come in, and that nobody writes."""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Callable, Iterable
from html import escape
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]

READ_ONLY = "this is a read-only copy; the studies belong to their drivers"

EVERYWHERE = ("", "0.0.0.0", "::")
"""Hosts that stand for all addresses of this machine."""

_READING = ("GET", "HEAD")
"""All that the dashboard needs; what it sends with other methods would write."""

_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """An application that answers a request itself, or lets it through to another one.

    - A name that is neither this machine's own nor ``host`` is refused: a page elsewhere can make a
      browser take its own name for this address (DNS rebinding). Ports are free, since a tunnel has
      another one. Where ``host`` stands for all addresses any name will do: the token is sent only
      to the name that it was given to.
    - Where there is a ``token`` it must be in the cookie, which a visit to ``/?token=...`` sets.
    - What is not reading is refused.
    """

    def __init__(self, inside: Application, host: str, port: int, token: str | None) -> None:
        self._inside = inside
        self._names = None if host in EVERYWHERE else _names(host)
        self._token = token
        self._cookie = f"sweep-{port}"  # a browser does not tell apart the ports of a host

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        def guarded(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start(status, [*headers, *_HEADERS], *more)

        if self._names is not None and _name(environ) not in self._names:
            return _answer(guarded, "403 Forbidden", "open it as localhost, or as its own --host\n")
        if self._token is not None and not self._known(environ):
            if self._is_token(dict(parse_qsl(environ.get("QUERY_STRING", ""))).get("token", "")):
                return self._admit(environ, guarded)
            said = "a token is needed: open the address that `sweep dashboard` has printed\n"
            return _answer(guarded, "401 Unauthorized", said)
        if environ["REQUEST_METHOD"] not in _READING:
            said = json.dumps({"reason": READ_ONLY})
            return _answer(guarded, "403 Forbidden", said, "application/json")
        return self._inside(environ, guarded)

    def _known(self, environ: Environ) -> bool:
        pairs = (each.strip().partition("=") for each in environ.get("HTTP_COOKIE", "").split(";"))
        return any(name == self._cookie and self._is_token(value) for name, _, value in pairs)

    def _is_token(self, given: str) -> bool:
        known = (self._token or "").encode()
        return hmac.compare_digest(given.encode("utf-8", "replace"), known)

    def _admit(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Set the cookie, and go on where the token is not in the address any more.

        By a page, not a redirection: to one that began on another site the cookie is not sent.
        """
        rest = [pair for pair in parse_qsl(environ["QUERY_STRING"]) if pair[0] != "token"]
        path = "/" + quote(environ.get("PATH_INFO", "").encode("latin-1").lstrip(b"/"))
        to = escape(f"{path}?{urlencode(rest)}" if rest else path)
        page = (
            f'<!DOCTYPE html><title>sweep</title><meta http-equiv="refresh" content="0;url={to}">'
        )
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
        headers = [("Set-Cookie", cookie), ("Cache-Control", "no-store")]
        return _answer(start, "200 OK", page, "text/html", headers)


def _names(host: str) -> set[str]:
    return {"localhost", "127.0.0.1", "::1", host.lower()}


def _name(environ: Environ) -> str | None:
    """The name by which the request has called this server, without a port."""
    try:
        return urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname
    except ValueError:
        return None


def _answer(
    start: Start,
    status: str,
    said: str,
    kind: str = "text/plain",
    headers: Iterable[tuple[str, str]] = (),
) -> list[bytes]:
    body = said.encode()
    about = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
    start(status, [*about, *headers])
    return [body]
