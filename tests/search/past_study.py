"""A study in memory for tests of what was tried before: enqueued, imported, changed, repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
from test_search import Study, loss, simulate, spec_of

from sweep.journal.event import TrialState
from sweep.spec import StudySpec, difference


def stubborn(seed: int) -> optuna.samplers.BaseSampler:
    """A sampler that always proposes the same ``x``."""
    return optuna.samplers.PartialFixedSampler({"x": 1.0}, optuna.samplers.RandomSampler(seed))


def changed(spec: StudySpec, **values: Any) -> StudySpec:
    """``spec`` with other values at its top level."""
    return StudySpec.model_validate(spec.model_dump(mode="json") | values)


def accept(study: Study, spec: StudySpec) -> None:
    """Go on under another spec."""
    changes = [str(change) for change in difference(study.spec, spec)]
    study.record(study.search.accept(spec, "", changes))


def tried(study: Study, loss_of: Callable[[dict[str, Any], int], float] = loss) -> int:
    """Ask for a trial and finish it at once; its number."""
    number = study.ask()
    trial = study.state.trials[number]
    if trial.reuses is None:
        pruned = study.report(number, 0, loss_of(trial.params, 0))
        study.finish(number, TrialState.PRUNED if pruned else TrialState.COMPLETE)
    return number


__all__ = ["Study", "accept", "changed", "simulate", "spec_of", "tried"]
