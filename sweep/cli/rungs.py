"""The rungs of a study, as they are shown before it runs and while it does."""

from __future__ import annotations

from typing import Any

from sweep.search.ladder import Ladder
from sweep.spec import PruningMode, StudySpec

SHOWN = 6
"""So many rungs are shown where they have no end."""


def rungs_record(spec: StudySpec) -> dict[str, Any] | None:
    """For JSON: the rungs of each bracket, in steps; None where there are none.

    Where ``endless``, there is always a further one, ``reduction_factor`` times the one before.
    """
    ladder = Ladder.described(spec.early_terminate)
    if ladder is None:
        return None
    return {
        "mode": str(PruningMode.PAUSE if Ladder.of(spec.early_terminate) else PruningMode.STOP),
        "reduction_factor": ladder.factor,
        "max_resource": ladder.top,
        "brackets": [
            {"bracket": bracket, "rungs": ladder.rungs(bracket, SHOWN), "endless": not ladder.top}
            for bracket in range(len(ladder.lowest))
        ],
    }


def rungs_text(spec: StudySpec) -> str | None:
    """``5, 15, 45, ... steps: 1 trial of 3 goes on, the others are paused``, bracket by bracket."""
    record = rungs_record(spec)
    if record is None:
        return None
    lists = [_listed(each["rungs"], endless=each["endless"]) for each in record["brackets"]]
    others = "paused" if record["mode"] == PruningMode.PAUSE else "stopped"
    share = f"1 trial of {record['reduction_factor']} goes on, the others are {others}"
    if len(lists) == 1:
        return f"{lists[0]} steps: {share}"
    brackets = "; ".join(f"bracket {number}: {each}" for number, each in enumerate(lists))
    return f"these steps: {brackets}; {share}"


def _listed(rungs: list[int], *, endless: bool) -> str:
    return ", ".join([*map(str, rungs), *(["..."] if endless else [])]) or "none"
