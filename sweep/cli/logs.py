"""`sweep logs`: what trials printed in all their attempts, also as it comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from sweep.analysis.selection import find_trial as known_trial
from sweep.cli.output import Output
from sweep.cli.place import find_trial, read_study
from sweep.errors import StoreError, StudyNotFoundError
from sweep.journal.follower import Follower
from sweep.journal.lock import holder
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths

LOOK_S = 0.1
"""Time between two looks at what has come: other processes write the logs."""

_CHUNK = 1 << 16


class Tail:
    """What has come to one log, a text at a time."""

    def __init__(self, trial: int, path: Path) -> None:
        self.trial, self.path = trial, path
        self._at = 0
        self._rest = b""

    def begin_at(self, lines: int) -> None:
        """Pass over all but the last ``lines``."""
        try:
            with self.path.open("rb") as file:
                end, found = file.seek(0, 2), b""
                begin = end
                while begin and found.count(b"\n") <= lines:
                    begin = max(0, begin - _CHUNK)
                    file.seek(begin)
                    found = file.read(end - begin)
        except FileNotFoundError:
            return
        kept = found.splitlines(keepends=True)[-lines:] if lines else []
        self._at = end - sum(map(len, kept))

    def new(self, *, last: bool) -> list[str]:
        """The lines that have come; one that has no end yet only at the ``last`` call.

        Raises:
            StoreError: the log cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self._at:  # it was begun anew, to bound its size
                    self._at, self._rest = 0, b""
                file.seek(self._at)
                data = file.read()
                self._at = file.tell()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read: {error.strerror}") from error
        *whole, self._rest = (self._rest + data).split(b"\n")
        if last and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        return [line.decode(errors="replace") for line in whole]


def logs(store: Path, name: str, out: Output, *, follow: bool, lines: int | None) -> int:
    """Print the log of a trial, or of all trials of a study. The exit code.

    ``follow``: go on until the trial is over, or no driver runs the study. ``lines``: begin with so
    many of the last.

    Raises:
        StudyNotFoundError: there is no such study or trial, or nothing of it was logged.
        StoreError: a log cannot be read.
    """
    paths, number = find_trial(store, name)
    _, state = read_study(paths)
    if number is not None:
        known_trial(state, paths.name, number)
    printed = _Printed(out, several=number is None)
    tails: dict[int, Tail] = {}
    follower = Follower(paths.journal)
    while True:
        # First whether more can come: what was written before that is read after it.
        over = not follow or _over(paths, follower.update() if follow else state, number)
        for trial in _trials(paths, number):
            if trial not in tails:
                tails[trial] = Tail(trial, paths.log(trial))
                if lines is not None:
                    tails[trial].begin_at(lines)
            printed.put(trial, tails[trial].new(last=over))
        if over:
            break
        time.sleep(LOOK_S)
    if not any(paths.log(trial).exists() for trial in tails):
        what = paths.name if number is None else f"{paths.name}/{number}"
        raise StudyNotFoundError(
            f"{what}: there is no log: nothing was begun on a worker (with --inline a trial prints "
            "to the terminal)"
        )
    return 0


def _trials(paths: StudyPaths, number: int | None) -> Sequence[int]:
    if number is not None:
        return [number]
    found = paths.log(0).parent.glob("*.log")
    return sorted(int(path.stem) for path in found if path.stem.isdecimal())


def _over(paths: StudyPaths, state: StudyState, number: int | None) -> bool:
    """Whether no more will be logged of the trial, or of any."""
    if number is not None and number in state.trials and state.trials[number].state.finished:
        return True
    return holder(paths.lock) is None


class _Printed:
    """Lines of one log, or of several with a title where it changes."""

    def __init__(self, out: Output, *, several: bool) -> None:
        self._out, self._several = out, several
        self._trial: int | None = None

    def put(self, trial: int, lines: Sequence[str]) -> None:
        if self._out.as_json:
            for line in lines:
                self._out.data({"trial": trial, "line": line})
            return
        if lines and self._several and trial != self._trial:
            self._out.line(("" if self._trial is None else "\n") + f"==> trial {trial} <==")
            self._trial = trial
        if lines:
            self._out.line("\n".join(lines))
