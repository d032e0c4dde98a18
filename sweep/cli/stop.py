"""`sweep stop`: ask a driver, wherever it runs, to save and end."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from sweep import fsio
from sweep.cli.output import Output, store_option
from sweep.cli.place import find_study
from sweep.journal.lock import holder

LOOK_S = 0.1
"""Time between two looks at the lock: another process, maybe another machine, gives no event."""


def stop(store: Path, name: str, wait: float, out: Output) -> int:
    """Ask for the end of a study and wait for it. The exit code: 0 when nobody runs it any more."""
    paths = find_study(store, name)
    driver = holder(paths.lock)
    if driver is None:
        _say(out, name, "not running", f"{name}: no driver runs it")
        return 0
    fsio.write_bytes(paths.stop, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    deadline = time.monotonic() + wait
    while holder(paths.lock) is not None:
        if time.monotonic() >= deadline:
            _say(out, name, "stopping", f"{name}: {driver} was asked to end and has not yet")
            return 1
        time.sleep(LOOK_S)
    paths.stop.unlink(missing_ok=True)
    go_on = f"sweep resume {name}{store_option(store)}"
    _say(out, name, "stopped", f"{name}: stopped; go on with: {go_on}")
    return 0


def _say(out: Output, name: str, state: str, line: str) -> None:
    out.data({"study": name, "state": state}) if out.as_json else out.line(line)
