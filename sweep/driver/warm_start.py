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
    read = {_root(source, paths) for source in known} - {None}
    added = []
    for source in dict.fromkeys(spec.warm_start):
        root = _root(source, paths)
        if source not in known and root not in read:  # it may be there by another name
            added.append(history_of(source, _read(source, root, spec, paths), spec, space))
            read.add(root)
    return added


def _root(source: str, paths: StudyPaths) -> Path | None:
    """The directory of a study, if there is one; ``source`` is a path, or a name in the store."""
    given = Path(source).expanduser()
    for root in (given.absolute(), paths.root.parent / given):
        other = StudyPaths(root)
        if other.root == paths.root or (other.exists() and other.begun()):
            return other.root.resolve()
    return None


def _read(source: str, root: Path | None, spec: StudySpec, paths: StudyPaths) -> StudyState:
    if root is None:
        raise UsageError(
            f"{spec.name}: warm_start: {source}: no study; give its directory, such as "
            f"{paths.root.parent.name}/other"
        )
    if root == paths.root.resolve():
        raise UsageError(f"{spec.name}: warm_start: {source}: is this study itself")
    return read_state(StudyPaths(root).journal)
