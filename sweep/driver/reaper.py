"""A small process that outlives a killed driver just long enough to end what it left behind.

Ray's servers die with the process that started them, but its agents do not. The reaper waits on a
pipe whose other end only the driver holds: when the driver dies, however it does, the pipe ends,
and all processes that carry the driver's mark in their environment are ended: Ray's, the workers,
and whatever trials have started. Run as ``python -m sweep.driver.reaper MARK``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import suppress

import psutil

GRACE_S = 3.0
"""Workers end by themselves when their server is gone; what still runs after this is killed."""

_VARIABLE = "SWEEP_DRIVER"


class Reaper:
    """The driver's handle on the reaping process. Start it before the processes that it is for."""

    def __init__(self) -> None:
        mark = uuid.uuid4().hex
        os.environ[_VARIABLE] = mark
        os.environ["SPT_NOENV"] = "1"  # else a process that sets its title wipes the mark out
        read, self._write = os.pipe()  # only the driver holds the writing end: neither is inherited
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sweep.driver.reaper", mark],
            stdin=read,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is for the driver alone
        )
        os.close(read)

    def close(self) -> None:
        """End what is left now, and wait for that."""
        os.close(self._write)
        self._process.wait()
        os.environ.pop(_VARIABLE, None)


def marked(mark: str, excluded: set[int]) -> list[psutil.Process]:
    """The processes of this user that were started under ``mark``."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid not in excluded and process.environ().get(_VARIABLE) == mark:
                found.append(process)
    return found


def main() -> None:
    mark, excluded = sys.argv[1], {os.getpid(), os.getppid()}
    sys.stdin.read()  # returns when the driver is gone
    grace = GRACE_S
    while processes := marked(mark, excluded):
        _, alive = psutil.wait_procs(processes, timeout=grace)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        grace = 0.1  # what is new since then was started by what was killed


if __name__ == "__main__":
    main()
