"""A study at a glance, also one that is damaged or has not begun.

What a driver has left of a study is enough where it is of the newest event: so a store of a hundred
studies is listed without reading their journals, and without what that needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sweep.driver.waiting import read_waits
from sweep.errors import SweepError
from sweep.journal.damage import foreign
from sweep.journal.listing import looks_whole, newest_event, reading
from sweep.journal.lock import holder
from sweep.journal.state import StudyState
from sweep.journal.summary import read_summary
from sweep.paths import StudyPaths


def glance(
    paths: StudyPaths, make: Callable[[StudyPaths], dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A record for JSON: `summarised`, with ``study``, ``path`` and ``status``.

    One that is ``damaged`` has an ``error`` instead, one that has ``not begun`` nothing. ``make``
    gives the record where the one that a driver has left is old; by default from the journal.
    """
    try:
        driver = holder(paths.lock)
        if not paths.begun():
            return {"study": paths.name, "status": "not begun" if driver is None else driver.status}
        with foreign(paths.journal), reading(paths.journal):
            known = _kept(paths) or (make or _made)(paths)
    except SweepError as error:
        return {"study": paths.name, "status": "damaged", "error": str(error)}
    running: dict[str, Any] = {}
    if driver is not None:
        running = {"status": driver.status, "waits": read_waits(paths)}
    return known | {"study": paths.name, "path": str(paths.root)} | running


def summarised(state: StudyState) -> dict[str, Any]:
    """`sweep.driver.summary.summary` of the study that has come to ``state``."""
    from sweep.driver.summary import summary  # start-up: see above
    from sweep.spec import StudySpec

    return summary(StudySpec.accepted(state.spec), state)


def _made(paths: StudyPaths) -> dict[str, Any]:
    from sweep.journal.journal import read_state

    return summarised(read_state(paths.journal))


def _kept(paths: StudyPaths) -> dict[str, Any] | None:
    if not looks_whole(paths.journal):
        return None
    return read_summary(newest_event(paths.journal), paths.tables)
