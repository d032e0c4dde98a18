"""Who may come in: the names, the token, and nothing but reading."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from sweep.dashboard.guard import READ_ONLY, Guard, is_loopback

TOKEN = "a-token-of-16-characters"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


def inside(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"inside"]


def ask(
    guard: Guard,
    path: str = "/",
    query: str = "",
    method: str = "GET",
    host: str | None = "localhost:8080",
    cookie: str = "",
) -> Answer:
    seen: list[Any] = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    environ |= {"HTTP_COOKIE": cookie} if cookie else {}
    environ |= {} if host is None else {"HTTP_HOST": host}
    body = b"".join(guard(environ, lambda status, headers: seen.append((status, headers))))
    ((status, headers),) = seen
    assert len(dict(headers)) == len(headers)
    return Answer(int(status.split()[0]), dict(headers), body.decode())


LOCAL = Guard(inside, "127.0.0.1", 8080, None)
TOLD = Guard(inside, "example.org", 8080, TOKEN)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:9000"]
)
def test_this_machine_has_its_names(host: str) -> None:
    """At any port: a tunnel has one of its own."""
    assert ask(LOCAL, host=host).body == "inside"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil",
        "",
        None,
        "[x",
    ],
)
def test_other_names_are_refused(host: str | None) -> None:
    """So that no page elsewhere reads it under its own name (DNS rebinding)."""
    assert ask(LOCAL, host=host).status == 403


def test_the_given_host_is_known_and_all_names_where_it_is_all() -> None:
    """The token, which a browser sends to one name only, stands before the latter."""
    cookie = f"sweep-8080={TOKEN}"
    assert ask(TOLD, host="Example.org:8080", cookie=cookie).status == 200
    assert ask(TOLD, host="other.org:8080", cookie=cookie).status == 403
    everywhere = Guard(inside, "0.0.0.0", 8080, TOKEN)
    assert ask(everywhere, host="any.example", cookie=cookie).status == 200
    assert ask(everywhere, host="any.example").status == 401


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MADE-UP"]
)
def test_nothing_is_written(method: str) -> None:
    """All but reading is refused, with a reason that the dashboard shows."""
    answer = ask(LOCAL, "/api/studies", method=method)
    assert answer.status == 403
    assert json.loads(answer.body) == {"reason": READ_ONLY}
    assert ask(LOCAL, method="HEAD").status == 200


def test_the_token_is_asked_for_first() -> None:
    """In a line, and whatever is wanted; a wrong one, or half of it, is none."""
    for answer in (
        ask(TOLD),
        ask(TOLD, method="POST"),
        ask(TOLD, query="token="),
        ask(TOLD, query="token=" + TOKEN[:-1]),
        ask(TOLD, query="token=" + "é" * 3),
        ask(TOLD, cookie="sweep-8080="),
        ask(TOLD, cookie=f"sweep-8081={TOKEN}"),
        ask(TOLD, cookie=f"x=sweep-8080={TOKEN}"),
        ask(TOLD, cookie="sweep-8080"),
    ):
        assert answer.status == 401
        assert answer.body.count("\n") == 1
        assert "Set-Cookie" not in answer.headers


def test_the_first_visit_sets_a_cookie() -> None:
    """And goes on without the token in the address, which is on this server."""
    answer = ask(TOLD, "//evil.example/a b", query=f"x=1&token={TOKEN}")
    cookie, *flags = answer.headers["Set-Cookie"].split("; ")
    assert set(flags) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert 'content="0;url=/evil.example/a%20b?x=1"' in answer.body
    assert TOKEN not in answer.body
    assert ask(TOLD, cookie=f"theme=dark; {cookie}; other=[1]").body == "inside"
    assert ask(TOLD, cookie=cookie, method="DELETE").status == 403


def test_no_answer_is_for_other_sites() -> None:
    """No header lets another origin read, frame or embed it."""
    for answer in (ask(LOCAL), ask(LOCAL, host="evil"), ask(TOLD), ask(LOCAL, method="OPTIONS")):
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("", False),
        ("::", False),
        ("192.168.0.3", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback(host: str, own: bool) -> None:
    """What only this machine reaches needs no token."""
    assert is_loopback(host) is own
