"""When and what the trials of a study save: from its spec to what attempts are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.checkpoint.policy import Improvement, Policy, Scope
from sweep.checkpoint.record import Content, Kind
from sweep.spec import Goal, StudySpec
from sweep.spec.section import Every, Final, InFlight, Packed


def policy_of(spec: StudySpec) -> Policy:
    """When the trials of a study are saved."""
    every, overhead = spec.checkpoint.every, spec.checkpoint.overhead
    if not isinstance(every, Every):
        return Policy(overhead=overhead)
    return Policy(
        epochs=every.epochs,
        steps=every.steps,
        seconds=None if every.minutes is None else every.minutes * 60,
        overhead=overhead,
    )


def scope_of(spec: StudySpec) -> Scope:
    """What of a trial is saved, and on what beside the policy."""
    asked = spec.checkpoint
    return Scope(
        improvement=_improvement(spec),
        best=_best(spec),
        components=asked.components,
        exclude=asked.exclude,
        final=None if asked.final is Final.NONE else Content(asked.final),
        replace=asked.in_flight is InFlight.REPLACE and not spec.deterministic,
        patient=spec.deterministic,
    )


def level_of(spec: StudySpec) -> int | None:
    """Of zstd, with which the files in the store are packed; None where they are not."""
    compression = spec.checkpoint.compression
    if compression is None or compression.where is not Packed.BOTH:
        return None
    return compression.level


def resumable(record: Mapping[str, Any]) -> bool:
    """Whether an attempt may go on from a checkpoint, by its record in the journal.

    Only from a full one; and from the final one of any content, which says that the function had
    returned, so that it is not called again.
    """
    content = Content(record.get("content", Content.FULL))
    return content is Content.FULL or Kind(record["kind"]) is Kind.FINAL


def _best(spec: StudySpec) -> Improvement | None:
    """What makes a checkpoint the best, where such are kept."""
    keep, objective = spec.checkpoint.keep, spec.objective
    if not keep.best and keep.incumbents is None:
        return None
    return Improvement(metric=objective.name, maximize=objective.goal is Goal.MAXIMIZE)


def _improvement(spec: StudySpec) -> Improvement | None:
    on = spec.checkpoint.on
    if on is None or on.improvement is False:
        return None
    # Of several objectives the first stands for the study; another one has a goal, too.
    goals = {each.name: each.goal for each in spec.objectives}
    name = on.improvement if isinstance(on.improvement, str) else spec.objective.name
    goal = goals.get(name) if on.goal is None else on.goal
    return Improvement(metric=name, maximize=goal is Goal.MAXIMIZE)
