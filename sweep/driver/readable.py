"""Whether this version can go on with a study that another one may have written."""

from __future__ import annotations

from pathlib import Path

from sweep.checkpoint.manifest import load
from sweep.checkpoint.record import CheckpointRecord
from sweep.errors import CheckpointVersionError
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.spec import StudySpec


def check_readable(paths: StudyPaths, state: StudyState) -> None:
    """Refuse a study that a newer version has gone on with, before anything runs or is written.

    The journal's events were known, or it could not have been read. So what is left is the spec,
    what the journal says of checkpoints, and those that the unfinished trials go on from.

    Raises:
        JournalVersionError, CheckpointVersionError: it was; the message says to update.
    """
    StudySpec.accepted(state.spec)
    for trial in state.trials.values():
        for known in trial.kept:
            CheckpointRecord.from_json(known.record)
    for trial in state.unfinished.values():
        for known in trial.kept:
            _check_manifest(paths.checkpoints / "manifests" / known.record["manifest"])


def _check_manifest(path: Path) -> None:
    try:
        load(path.read_bytes(), str(path))
    except CheckpointVersionError:
        raise
    except OSError:  # missing, or damaged
        return  # who restores it finds another copy, or an older one
