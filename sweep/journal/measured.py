"""Which metrics were measured of the state that a checkpoint holds, where its record does not say.

Up to version 1 of its event a record has the latest value of each metric, and does not say whether
training went on between the report and the save. Its position does, together with those of the
checkpoints before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.journal.state import Trial


def with_measured(
    record: Mapping[str, Any], trial: Trial, spec: Mapping[str, Any]
) -> dict[str, Any]:
    """``record`` of a checkpoint that ``trial`` is about to have, with its field ``measured``.

    ``spec`` is the one that holds at this place of the journal.
    """
    if record.get("measured") is not None:
        return dict(record)
    names: list[str] = []
    if _at_report(record, trial, spec):
        report = trial.reports.get(record.get("step", -1))
        known = record.get("metrics", {})
        names = [name for name in known if report is None or name in report.metrics]
    return {**record, "measured": names}


def _at_report(record: Mapping[str, Any], trial: Trial, spec: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was certainly saved where the last report before it was made."""
    steps = record.get("global_step", 0)
    if not steps:
        return True  # every safe point was at a report
    epoch, kind = record.get("epoch", 0), str(record.get("kind"))
    for known in reversed(trial.checkpoints.values()):
        if known.record.get("epoch", 0) < epoch:
            break
        if known.record.get("epoch") == epoch and known.record.get("global_step", 0) < steps:
            return False  # it has trained in this epoch
    if kind in ("final", "paused", "pruned"):
        return True
    if record.get("step") != epoch - 1:
        return False  # in the middle of the epoch in which the report was made
    return kind == "improvement" or _at_ends(spec, kind)


def _at_ends(spec: Mapping[str, Any], kind: str) -> bool:
    """Whether the first checkpoint after the end of an epoch is that of its very end."""
    asked = spec.get("checkpoint") or {}
    every = asked.get("every", {"epochs": 1})
    if not isinstance(every, Mapping) or asked.get("overhead") is not None:
        return False
    if every.get("epochs") == 1:
        return True
    only = every.get("epochs") is not None and not (every.get("steps") or every.get("minutes"))
    return only and kind == "periodic"
