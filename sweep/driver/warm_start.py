"""The studies that a spec names under ``warm_start``: found, and read once."""

from __future__ import annotations

from pathlib import Path

from sweep.errors import UsageError
from sweep.journal.event import HistoryAdded
from sweep.journal.journal import read_state
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.search.define import DefinedSpace
from sweep.search.history import history_of
from sweep.spec import Space, StudySpec


def new_histories(
    spec: StudySpec, space: Space | DefinedSpace, paths: StudyPaths, state: StudyState
) -> list[HistoryAdded]:
    """What ``spec`` wants to be known of other studies and is not in the journal yet.

    What is there stays, also where the spec or the disk has that study no more.

    Raises:
        UsageError: there is no such study, or it has nothing to say about this one.
        StoreError: its journal cannot be read.
    """
    known = {history.source for history in state.histories}
    wanted = [source for source in dict.fromkeys(spec.warm_start) if source not in known]
    return [history_of(source, _read(source, spec, paths), spec, space) for source in wanted]


def _read(source: str, spec: StudySpec, paths: StudyPaths) -> StudyState:
    """The other study; ``source`` is a path, or a name in the store."""
    given = Path(source).expanduser()
    for root in (given.absolute(), paths.root.parent / given):
        other = StudyPaths(root)
        if other.root == paths.root:
            raise UsageError(f"{spec.name}: warm_start: {source}: is this study itself")
        if other.exists() and other.begun():
            return read_state(other.journal)
    raise UsageError(
        f"{spec.name}: warm_start: {source}: no study; give its directory, such as "
        f"{paths.root.parent.name}/other"
    )
