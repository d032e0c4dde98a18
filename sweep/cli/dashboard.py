"""`sweep dashboard`: a store in the browser, as it changes; nothing can be changed there."""

from __future__ import annotations

import re
import secrets
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from sweep.analysis.store import open_store
from sweep.cli.output import Output, error
from sweep.dashboard.guard import Guard, is_loopback
from sweep.dashboard.server import Server, address, until_signalled
from sweep.errors import UsageError
from sweep.quantity import counted

_TOKEN = re.compile(r"[\w-]{16,}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where the dashboard is served; ``look`` shows it in a browser."""

    host: str
    port: int
    token: str | None
    look: bool


def dashboard(store: Path, options: Options, out: Output) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        StudyNotFoundError: there is no study in ``store``.
        UsageError: what serves it is not installed, or cannot be where it was asked to.
    """
    try:
        from sweep.dashboard.site import site
    except ModuleNotFoundError as missing:
        if missing.name not in ("optuna_dashboard", "bottle"):
            raise
        raise UsageError(
            "the dashboard needs optuna-dashboard: pip install 'sweep[dashboard]'"
        ) from missing
    studies = open_store(store)
    token = _token(options)
    server = Server(options.host, options.port)
    server.set_app(Guard(site(studies.root, error), options.host, server.port, token))
    where = address(options.host, server.port, token)
    with until_signalled() as wait, server.serving():
        if out.as_json:
            out.data({"url": where, "store": str(studies.root), "studies": len(studies)})
        else:
            count = counted(len(studies), "study", "studies")
            out.line(f"{store}: {count} at {where} (read-only; Ctrl-C ends it)")
        if options.look:
            webbrowser.open(where)
        wait()


def _token(options: Options) -> str | None:
    """What who comes must know; whoever else than this machine's users can come must know one."""
    if options.token is None:
        return None if is_loopback(options.host) else secrets.token_urlsafe()
    if not _TOKEN.fullmatch(options.token):
        raise UsageError("--token: must be 16 or more letters, digits, - or _")
    return options.token
