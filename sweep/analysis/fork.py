"""A fork: a new trial that goes on from another one's checkpoint, with other parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweep.analysis.selection import LATEST, find_trial, remark, select
from sweep.checkpoint.fork import write_fork
from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import UsageError
from sweep.journal.maintenance import maintenance
from sweep.paths import StudyPaths
from sweep.search.define import space_of
from sweep.search.fork import forked, vary
from sweep.spec import StudySpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Fork:
    """A trial that was added. ``new_bytes`` is what it takes on the disk until it runs. ``note`` is
    what to know of the checkpoint that was chosen: that it is not what was measured, say."""

    study: str
    trial: int
    parent: int
    source: str
    checkpoint: str
    params: dict[str, Any]
    inside: bool
    new_bytes: int
    note: str | None = None


def fork_trial(
    paths: StudyPaths,
    trial: int,
    changes: Mapping[str, Any],
    *,
    at: str | int = LATEST,
    force: bool = False,
) -> Fork:
    """Add a trial to a study that no driver runs; the study's next run executes it.

    The checkpoint of the new trial is made durable first, then the event that names it: a kill in
    between leaves files that the next session removes. Nothing can retire the source meanwhile,
    since the study's lock is held.

    Args:
        at: the checkpoint, as in `sweep.analysis.selection.select`.
        force: take values outside of the space (such a trial is not told to the sampler, and is
            never the incumbent), or the end of a trial, after which only more epochs leave
            anything to do.

    Raises:
        StudyLockedError: a driver runs the study.
        UsageError: the changes do not fit the space, see `sweep.search.fork.vary`; or the source is
            the end of a trial.
        StudyNotFoundError: no such trial or checkpoint.
        CheckpointError: the checkpoint cannot be read, or the new one not be written.
    """
    with maintenance(paths, "fork") as held:
        state = held.state
        parent = find_trial(state, paths.name, trial)
        source = select(state, paths.name, trial, at)
        spec = StudySpec.accepted(state.spec)
        space = space_of(spec, state.project)
        varied = vary(space, spec.defaults | parent.params, changes, force=force)
        if CheckpointRecord.from_json(source.record).kind is Kind.FINAL and not force:
            end = source.id.removesuffix(".final")  # from there nothing is left to do, either
            kept = [
                each.id
                for each in parent.kept
                if each.content == Content.FULL and each.id not in (source.id, end)
            ]
            raise UsageError(
                f"{source.id} is the end of trial {trial}: a fork of it has nothing to do, unless "
                "what you change gives it more epochs (--force). Fork an earlier one: "
                f"{', '.join(kept) or 'none is kept; see checkpoint.keep'}"
            )
        record = write_fork(
            CheckpointStore(paths.checkpoints),
            CheckpointRecord.from_json(source.record),
            trial=len(state.trials),
            session=state.sessions,
            params=varied.params,
        )
        note = remark(state, source, at)
        held.record(forked(trial, source.id, record.to_json(), varied))
    return Fork(
        study=paths.name,
        trial=record.trial,
        parent=trial,
        source=source.id,
        checkpoint=record.id,
        params=varied.params,
        inside=varied.inside,
        new_bytes=record.new_bytes,
        note=note,
    )
