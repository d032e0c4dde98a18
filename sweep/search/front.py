"""The Pareto front of several objectives: trials that no other one beats in all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sweep.journal.event import TrialState
from sweep.journal.state import Trial


def change(
    front: Iterable[Trial], trial: Trial, maximize: Sequence[bool]
) -> tuple[bool, list[int]]:
    """Whether ``trial`` comes onto ``front``, and the numbers of those that then leave it.

    Only a completed trial that keeps all constraints comes there. Equal ones share the front.

    Args:
        maximize: of each objective, whether larger values are better.
    """
    if trial.state is not TrialState.COMPLETE or not trial.feasible or trial.values is None:
        return False, []
    ours = _losses(trial.values, maximize)
    theirs = {other.number: _losses(other.values or (), maximize) for other in front}
    if any(_dominates(losses, ours) for losses in theirs.values()):
        return False, []
    return True, sorted(number for number, losses in theirs.items() if _dominates(ours, losses))


def _losses(values: Sequence[float], maximize: Sequence[bool]) -> list[float]:
    return [-value if larger else value for value, larger in zip(values, maximize, strict=True)]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether ``one`` is nowhere worse, and somewhere better."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
