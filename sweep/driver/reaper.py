"""A small process that outlives a killed driver just long enough to end what it left behind.

Ray's servers die with the process that started them, but its agents do not, nor does what a trial
has started. The reaper waits for the end of the driver, however it ends, and then ends all
processes that carry the driver's mark: Ray's, the workers, and whatever trials have started.

The mark is a number that nobody else has, at two places that children inherit:

- an environment variable;
- the soft limit RLIMIT_RTTIME, which bounds the time of real-time threads: here to a number of
  microseconds that is thousands of years. It stays with a process through forks, exec, a session of
  its own and an empty environment, and all descendants have it, whoever their parent is by now.

So nothing is ended that the driver has not started. Run as a script, with the standard library
alone: ``reaper.py MARK PID [detached]``.
"""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

GRACE_S = 3.0
"""Workers end by themselves when their server is gone; what still runs after this is killed."""

GIVE_UP_S = 60.0
"""What still runs after this hangs in the kernel."""

_VARIABLE = "SWEEP_DRIVER"
_BASE = 1 << 62
"""Added to the mark, so that the limit is never met."""


class Reaper:
    """A handle on the reaping process of this one. Start it before the processes that it is for.

    A ``detached`` one is nobody's child (Ray ends the children of a worker that it ends), and acts
    when this process ends.
    """

    def __init__(self, *, detached: bool = False) -> None:
        number = secrets.randbelow(_BASE)
        os.environ[_VARIABLE] = mark = f"{number:x}"
        os.environ["SPT_NOENV"] = "1"  # else a process that sets its title wipes the mark out
        self._limits = resource.getrlimit(resource.RLIMIT_RTTIME)
        with contextlib.suppress(OSError, ValueError):  # the hard limit is lower
            resource.setrlimit(resource.RLIMIT_RTTIME, (_BASE + number, self._limits[1]))
        read, self._write = os.pipe()  # only this process holds the writing end
        self._process = subprocess.Popen(
            [sys.executable, "-ESs", __file__, mark, str(os.getpid()), *["detached"] * detached],
            stdin=read,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is for the driver alone
        )
        os.close(read)
        if detached:
            self._process.wait()

    def close(self) -> None:
        """End what is left now, and wait for that."""
        os.close(self._write)
        self._process.wait()
        os.environ.pop(_VARIABLE, None)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_RTTIME, self._limits)


def is_marked(pid: int, mark: str) -> bool:
    """Whether process ``pid`` runs, is this user's, and was started under ``mark``."""
    process = Path("/proc", str(pid))
    try:
        if process.joinpath("stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return False
        if resource.prlimit(pid, resource.RLIMIT_RTTIME)[0] == _BASE + int(mark, 16):
            return True
        variables = process.joinpath("environ").read_bytes().split(b"\0")
    except (OSError, IndexError):  # gone, or of another user
        return False
    return f"{_VARIABLE}={mark}".encode() in variables


def marked(mark: str, excluded: set[int]) -> Iterator[int]:
    """The processes that were started under ``mark``."""
    pids = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal())
    return (pid for pid in pids if pid not in excluded and is_marked(pid, mark))


def _kill(pid: int, mark: str) -> None:
    """Kill a process of ours; never another one that has got its number."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if is_marked(pid, mark):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def _await_end(driver: int) -> bool:
    """Return when the driver is gone, or has closed the pipe; whether it is there still."""
    waiting = select.poll()
    waiting.register(sys.stdin, select.POLLIN | select.POLLHUP)
    try:
        handle = os.pidfd_open(driver)
    except ProcessLookupError:
        return False
    except OSError:  # an old kernel: the pipe says it, once no child has it open either
        waiting.poll()
        return os.getppid() == driver
    waiting.register(handle, select.POLLIN)
    return handle not in dict(waiting.poll())


def main() -> None:
    mark, driver = sys.argv[1], int(sys.argv[2])
    if sys.argv[3:] and os.fork():
        return
    closes = _await_end(driver)
    excluded = {os.getpid(), driver} if closes else {os.getpid()}
    begun = time.monotonic()
    while time.monotonic() < begun + GIVE_UP_S:
        pids = list(marked(mark, excluded))
        if not pids:
            return
        if time.monotonic() >= begun + GRACE_S:
            for pid in pids:
                _kill(pid, mark)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
