"""Pruners as the spec names them. None holds a state of its own."""

from __future__ import annotations

import warnings
from typing import assert_never

from optuna import pruners
from optuna.exceptions import ExperimentalWarning

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
