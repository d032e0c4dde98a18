"""A checkpoint of one trial as the first one of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.checkpoint.draft import Draft
from sweep.checkpoint.origin import params_digest
from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import CheckpointError, UsageError


def write_fork(
    store: CheckpointStore,
    source: CheckpointRecord,
    *,
    trial: int,
    session: int,
    params: Mapping[str, Any],
) -> CheckpointRecord:
    """Let trial number ``trial`` begin where ``source`` stands; durable when this returns.

    ``session`` is the study's newest: files that no event comes to name are removed when the next
    one begins. What an earlier call for the same trial has left behind is replaced.

    Raises:
        UsageError: the source is not full.
        CheckpointDamagedError, CheckpointMismatchError: the source cannot be read.
        CheckpointError: the store refused.
    """
    draft = Draft(
        trial=trial,
        attempt=0,
        session=session,
        kind=Kind.FORK,
        epoch=source.epoch,
        global_step=source.global_step,
        step=source.step,
        parent=source.id,
        metrics=source.metrics,
        measured=source.measured,
        meta={
            "params": dict(params),
            "params_sha256": params_digest(params),
            "forked": {"trial": source.trial, "checkpoint": source.id},
        },
    )
    if source.content is not Content.FULL:
        raise UsageError(
            f"checkpoint {source.id} is {source.content}: a trial can only go on from a full one"
        )
    try:
        store.delete(draft.manifest)
    except OSError as error:
        raise CheckpointError(f"a fork of {source.id} cannot be written: {error}") from error
    return store.fork(source.manifest, draft)
