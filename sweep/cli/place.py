"""Which study a command means, and what its journal says."""

from __future__ import annotations

from pathlib import Path

from sweep.errors import StudyNotFoundError, UsageError
from sweep.journal.damage import foreign
from sweep.journal.journal import read_state
from sweep.journal.listing import is_study, studies
from sweep.journal.lock import holder
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.spec import StudySpec


def find_study(store: Path, name: str) -> StudyPaths:
    """The study called ``name`` in ``store``; a path to its directory is understood too.

    Raises:
        StudyNotFoundError: there is none; the message lists what there is.
        StoreError: its directory, or the store, cannot be read.
    """
    path = Path(name)
    for root in (store / name, path):
        paths = StudyPaths(root.absolute())
        if is_study(paths):
            return paths
    known = ", ".join(paths.name for paths in studies(store))
    what = f"there is: {known}" if known else "there is none; give another --store?"
    raise StudyNotFoundError(f"{store}: no study {name!r}; {what}")


def find_begun(store: Path, name: str) -> StudyPaths:
    """As `find_study`, of a study whose journal says something.

    Raises:
        StudyNotFoundError: there is none, or not even its first event was written.
    """
    paths = find_study(store, name)
    if not paths.begun():
        raise not_begun(paths)
    return paths


def not_begun(paths: StudyPaths) -> StudyNotFoundError:
    """What to say of a study that is starting, or was killed in its first instant."""
    driver = holder(paths.lock)
    if driver is not None:
        return StudyNotFoundError(f"{paths.root}: the study is starting: {driver} waits for Ray")
    return StudyNotFoundError(f"{paths.root}: the study has not begun; run its YAML again")


def read_study(paths: StudyPaths) -> tuple[StudySpec, StudyState]:
    """What a study was asked, and what became of it.

    Raises:
        StudyNotFoundError: it has not begun.
        JournalError: its journal is damaged.
    """
    state = read_state(paths.journal)
    if state.seq < 0:
        raise not_begun(paths)
    with foreign(paths.journal):
        return StudySpec.accepted(state.spec), state


def find_trial(store: Path, name: str) -> tuple[StudyPaths, int | None]:
    """The study, and the number of the trial where ``name`` is ``STUDY/TRIAL``."""
    head, slash, tail = name.rstrip("/").rpartition("/")
    if slash and tail.isdecimal() and not is_study(StudyPaths((store / name).absolute())):
        return find_begun(store, head), int(tail)
    return find_begun(store, name), None


def find_checkpoint(store: Path, name: str) -> tuple[StudyPaths, int, str]:
    """The study, the trial and the checkpoint that ``STUDY/TRIAL[@WHICH]`` names.

    Raises:
        StudyNotFoundError: there is no such study.
        UsageError: no trial is named.
    """
    head, slash, tail = name.rpartition("/")
    number, at, which = tail.partition("@")
    if not slash or not number.isdecimal() or (at and not which):
        raise UsageError(
            f"{name}: must be STUDY/TRIAL, with @latest, @best, @STEP or @ID after it if need be, "
            "such as digits/3@best"
        )
    return find_begun(store, head), int(number), which or "latest"
