"""Pruners as the spec names them. None holds a state of its own."""

from __future__ import annotations

import copy
import math
import warnings
from bisect import bisect_left
from collections.abc import Mapping
from typing import assert_never

from optuna import pruners
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial

from sweep.search.curves import between
from sweep.spec import (
    AshaPruning,
    HyperbandPruning,
    MedianPruning,
    PatientPruning,
    PercentilePruning,
    PruningMode,
    Termination,
    ThresholdPruning,
    WilcoxonPruning,
)

_RUNG = "completed_rung_"
"""How `optuna.pruners.SuccessiveHalvingPruner` begins the names of its attributes."""


def make_pruner(wanted: Termination) -> pruners.BasePruner | None:
    """The pruner that ``early_terminate`` describes; where trials are paused, there is none."""
    with warnings.catch_warnings():
        # Versions are pinned, and verdicts recorded and replayed.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return _made(wanted)


def _made(wanted: Termination) -> pruners.BasePruner | None:
    match wanted:
        case None:
            return None
        case MedianPruning() | PercentilePruning() as part:
            return pruners.PercentilePruner(
                part.percentile if isinstance(part, PercentilePruning) else 50.0,
                n_startup_trials=part.startup_trials,
                n_warmup_steps=part.warmup_steps,
                interval_steps=part.interval_steps,
                n_min_trials=part.min_trials,
            )
        case ThresholdPruning() as threshold:
            return pruners.ThresholdPruner(
                lower=threshold.lower,
                upper=threshold.upper,
                n_warmup_steps=threshold.warmup_steps,
                interval_steps=threshold.interval_steps,
            )
        case WilcoxonPruning() as wilcoxon:
            return pruners.WilcoxonPruner(
                p_threshold=wilcoxon.p_threshold, n_startup_steps=wilcoxon.startup_steps
            )
        case AshaPruning(mode=PruningMode.PAUSE) | HyperbandPruning(mode=PruningMode.PAUSE):
            return None
        case HyperbandPruning(brackets=1) as bracket:
            return pruners.SuccessiveHalvingPruner(
                min_resource=bracket.min_resource, reduction_factor=bracket.reduction_factor
            )
        case HyperbandPruning(max_resource=int(top)) as hyperband:
            return pruners.HyperbandPruner(
                min_resource=hyperband.min_resource,
                max_resource=top,
                reduction_factor=hyperband.reduction_factor,
            )
        case HyperbandPruning():
            raise ValueError("hyperband without max_resource has one bracket")
        case AshaPruning() as asha:
            return pruners.SuccessiveHalvingPruner(
                min_resource=asha.min_resource,
                reduction_factor=asha.reduction_factor,
                min_early_stopping_rate=asha.min_early_stopping_rate,
            )
        case PatientPruning() as patient:
            return pruners.PatientPruner(
                _made(patient.then), patience=patient.patience, min_delta=patient.min_delta
            )
        case _:
            assert_never(wanted)


def as_at(trial: FrozenTrial, step: int) -> FrozenTrial:
    """``trial`` as if it had completed its rungs with its value at ``step``; none if it has none.

    Optuna's successive halving notes on a trial with which value it has completed each rung, at
    whatever step that was. Shown this instead, it compares trials at equal steps.
    """
    rungs = [name for name in trial.system_attrs if name.startswith(_RUNG)]
    if not rungs:
        return trial
    seen = copy.copy(trial)
    value = _at(trial.intermediate_values, step)
    seen.system_attrs = {
        name: noted for name, noted in trial.system_attrs.items() if name not in rungs
    }
    if value is not None and not math.isnan(value):
        seen.system_attrs |= dict.fromkeys(rungs, value)
    return seen


def _at(reports: Mapping[int, float], step: int) -> float | None:
    if step in reports:
        return reports[step]
    steps = sorted(reports)
    place = bisect_left(steps, step)
    if not 0 < place < len(steps):
        return None
    before, after = steps[place - 1], steps[place]
    return between(step, (before, reports[before]), (after, reports[after]))
