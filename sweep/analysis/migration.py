"""Checkpoints of older formats, rewritten in the newest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from sweep.checkpoint.manifest import VERSION
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import CheckpointDamagedError
from sweep.journal.event import CheckpointMigrated
from sweep.journal.journal import read_state
from sweep.journal.maintenance import maintenance
from sweep.journal.state import Checkpoint, StudyState
from sweep.paths import StudyPaths


@dataclass(frozen=True, kw_only=True, slots=True)
class Migrated:
    """What became of one checkpoint; ``damaged`` says why it was left as it is."""

    checkpoint: str
    changed: bool
    damaged: str | None = None


def migrate_study(paths: StudyPaths) -> list[Migrated]:
    """Rewrite every kept checkpoint of a study that no driver runs in the newest format.

    The file is replaced first, then the journal's record of it. Killed in between, the same call
    finds that the record is not the file's, and mends it. Twice changes nothing.

    Raises:
        StudyLockedError: a driver runs the study.
        StoreError: the store cannot be read or written.
    """
    store = CheckpointStore(paths.checkpoints)
    done = []
    with maintenance(paths, "migrate") as held:
        for known in list(kept(held.state)):
            try:
                record = store.migrate(known.record["manifest"]).to_json()
            except CheckpointDamagedError as error:
                done.append(Migrated(checkpoint=known.id, changed=False, damaged=str(error)))
                continue
            changed = record["digest"] != known.record["digest"]
            if changed:
                # What it cost to write it is known of the first time only.
                record["new_bytes"] = known.record.get("new_bytes", record["new_bytes"])
                held.record(
                    CheckpointMigrated(trial=known.trial, checkpoint=known.id, record=record)
                )
            done.append(Migrated(checkpoint=known.id, changed=changed))
    return done


def outdated(paths: StudyPaths) -> list[Migrated]:
    """What `migrate_study` would do; ``changed`` where a manifest is of an older format.

    Raises:
        StoreError: the journal cannot be read.
    """
    found = []
    for known in kept(read_state(paths.journal)):
        path = paths.checkpoints / "manifests" / known.record["manifest"]
        try:
            version = int(json.loads(path.read_bytes())["version"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            found.append(Migrated(checkpoint=known.id, changed=False, damaged=f"{path}: {error}"))
            continue
        found.append(Migrated(checkpoint=known.id, changed=version < VERSION))
    return found


def kept(state: StudyState) -> Iterator[Checkpoint]:
    """Checkpoints that are neither retired nor damaged, by trial, oldest first."""
    for trial in state.trials.values():
        yield from trial.kept
