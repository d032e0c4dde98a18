"""Why trials that could run do not: pure functions."""

from __future__ import annotations

from sweep.driver.node import resources_text
from sweep.driver.plan import Limits, pause_s
from sweep.journal.state import StudyState
from sweep.quantity import counted, duration_text
from sweep.spec import Resources

SHORT = "waits for resources"
"""How the line begins that says what the backend lacks."""

_NAMED = 5


def waits(
    state: StudyState,
    limits: Limits,
    resources: Resources,
    resting: set[int],
    shortage: str | None,
) -> list[str]:
    """Why trials that could run do not, a line each; none where all just wait for their turn.

    ``shortage`` is what the backend lacks, if it does; ``resting`` are trials whose last attempt
    was interrupted.
    """
    lines = []
    if shortage is not None:
        waiting = sum(
            not trial.executing and trial.number not in resting for trial in state.running.values()
        )
        if waiting or state.asked < limits.total:
            who = counted(waiting, "trial") if waiting else "the next trial"
            needs = "need" if waiting > 1 else "needs"
            lines.append(f"{SHORT}: {who} {needs} {resources_text(resources)}, {shortage}")
    lines += [_rest_text(state, number) for number in sorted(resting)[:_NAMED]]
    if len(resting) > _NAMED:
        lines.append(f"{counted(len(resting) - _NAMED, 'more trial')} rest after interruptions")
    return lines


def _rest_text(state: StudyState, number: int) -> str:
    trial = state.trials[number]
    rest = duration_text(pause_s(trial.setbacks))
    return (
        f"trial {number} rests for {rest}, interrupted {counted(trial.setbacks, 'time')} in a row: "
        f"{trial.interrupted[-1].reason}"
    )
