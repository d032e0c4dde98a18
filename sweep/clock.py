"""Time that goes on evenly: whoever sets the system's clock moves no duration of a study."""

from __future__ import annotations

import time


class Clock:
    """Unix time as the system had it when this clock was made, plus what has passed since.

    What passes is counted by the kernel (CLOCK_BOOTTIME), in suspended time, too. Setting the
    system's clock, by hand or by a time server, does not change it.
    """

    def __init__(self, not_before: float = 0.0) -> None:
        """A clock that begins now, or at ``not_before`` where the system's clock is behind that."""
        self._began = max(time.time(), not_before)
        self._mark = _uptime()

    def __call__(self) -> float:
        """Unix seconds; never less than what was given before."""
        return self._began + (_uptime() - self._mark)


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
