"""What a study that runs waits for: said in a file, for `sweep show` and `sweep ls`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from sweep import fsio
from sweep.paths import StudyPaths


class WaitingNote:
    """Tells other processes what a study waits for."""

    def __init__(self, paths: StudyPaths) -> None:
        self._path = paths.root / "waiting.json"
        self._said: Sequence[str] = ()
        self._path.unlink(missing_ok=True)  # of a driver that was killed

    def say(self, lines: Sequence[str]) -> Sequence[str]:
        """Leave ``lines`` for `read_waits`; those that are new."""
        if lines == self._said:
            return []
        new = [line for line in lines if line not in self._said]
        self._said = lines
        with suppress(OSError):  # a full disk: the journal says so
            if lines:
                fsio.write_bytes(self._path, json.dumps(list(lines)).encode())
            else:
                self._path.unlink(missing_ok=True)
        return new


def read_waits(paths: StudyPaths) -> list[str]:
    """What a study that runs waits for, a line each."""
    try:
        said = json.loads((paths.root / "waiting.json").read_bytes())
    except (OSError, ValueError):
        return []
    return [line for line in said if isinstance(line, str)] if isinstance(said, list) else []
