"""The derived tables of a study that runs: written anew now and then, and when it ends."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from sweep.driver.summary import summary
from sweep.journal.state import StudyState
from sweep.journal.summary import write_summary
from sweep.journal.table import write_tables
from sweep.spec import StudySpec

_log = logging.getLogger("sweep")

TABLES_INTERVAL_S = 30.0
TABLES_SHARE = 0.01
"""The derived tables are written anew after this time, and never for more than this share of it."""


class Tabulation:
    """Writes the tables of one study and its summary, and knows when they are due again."""

    def __init__(self, spec: StudySpec, directory: Path) -> None:
        """Of the study with ``spec``, into ``directory``."""
        self._spec, self._directory = spec, directory
        self._due = time.monotonic() + TABLES_INTERVAL_S

    def settle(self, state: StudyState) -> None:
        """Write the tables of ``state`` where they are due."""
        if time.monotonic() >= self._due:
            self.write(state)

    def write(self, state: StudyState) -> None:
        """Write the tables of ``state`` now; warn where that fails."""
        begun = time.monotonic()
        try:
            write_tables(state, self._directory)
            write_summary(summary(self._spec, state), state.seq, self._directory)
        except (OSError, ValueError) as error:  # they are derived: nothing is lost with them
            _log.warning("%s: the tables cannot be written: %s", self._spec.name, error)
        cost = time.monotonic() - begun
        self._due = time.monotonic() + max(TABLES_INTERVAL_S, cost / TABLES_SHARE)
