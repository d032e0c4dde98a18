"""Versions of the rules by which trials are compared with each other.

A verdict is recorded and never computed again, but what follows from it (a succession, a promotion)
is derived by the rules that held in its session; a replay needs to know them. `DriverStarted` names
them.
"""

from __future__ import annotations

from enum import IntEnum


class Rules(IntEnum):
    """How a driver compares trials. A greater number came later."""

    LATEST = 1
    """A member of a population with the latest value of each other one, at whatever step; a trial
    at a rung by the report with which it passed the rung, at whatever step."""
    EQUAL_STEPS = 2
    """Only values of the same step are compared, and a fork never begins before the step at which
    the member stood whose place it takes."""

    EXHAUSTION = 3
    """Under ``duplicates: resample`` a finite space ends once every combination was tried."""


CURRENT = Rules.EXHAUSTION
"""The rules of every session that begins now."""
