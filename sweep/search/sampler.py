"""Samplers and pruners as the spec names them."""

from __future__ import annotations

import hashlib
import threading
import warnings
from typing import assert_never

import optuna

from sweep.spec import AshaPruning, MedianPruning, Method, StudySpec


def ask_seed(study_seed: int, number: int) -> int:
    """The seed of the sampler for ask ``number`` of a study: 32 bits, the same everywhere."""
    digest = hashlib.sha256(f"ask:{study_seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def make_sampler(method: Method, study_seed: int, number: int) -> optuna.samplers.BaseSampler:
    """A sampler, as good as fresh, for ask ``number`` (the trial's where nothing was forked).

    A fresh one knows nothing but the history, which is what makes a suggestion a pure function of
    the journal. Scrambled QMC is one sequence for the whole study, hence the study's own seed.
    """
    match method:
        case Method.TPE:
            return optuna.samplers.TPESampler(seed=ask_seed(study_seed, number))
        case Method.RANDOM | Method.GRID:
            return _random_sampler(ask_seed(study_seed, number))
        case Method.QMC:
            with warnings.catch_warnings():
                # Optuna calls it experimental; versions are pinned, recorded and replayed.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return optuna.samplers.QMCSampler(
                    scramble=True,
                    seed=study_seed,
                    independent_sampler=_random_sampler(ask_seed(study_seed, number)),
                    warn_independent_sampling=False,
                )
        case _:
            assert_never(method)


def _random_sampler(seed: int) -> optuna.samplers.RandomSampler:
    """A random sampler that is like a fresh one, until the next call in this thread.

    It holds nothing but its generator, and a generator that is seeded again is as new. To make one
    takes numpy longer than all the rest of an ask, since it first asks the system for a seed.
    """
    sampler = getattr(_made, "random", None)
    if sampler is None:
        sampler = _made.random = optuna.samplers.RandomSampler(seed=seed)
    sampler._rng.rng.seed(seed)  # `reseed_rng`, the public way, takes no seed
    return sampler


_made = threading.local()


def notes_results(method: Method) -> bool:
    """Whether the sampler may write something down when it learns of a result."""
    kind = type(make_sampler(method, 0, 0))
    return kind.after_trial is not optuna.samplers.BaseSampler.after_trial


def make_pruner(spec: StudySpec) -> optuna.pruners.BasePruner | None:
    """The pruner that ``early_terminate`` describes; it holds no state of its own."""
    match spec.early_terminate:
        case None:
            return None
        case MedianPruning() as median:
            return optuna.pruners.MedianPruner(
                n_startup_trials=median.startup_trials,
                n_warmup_steps=median.warmup_steps,
                interval_steps=median.interval_steps,
            )
        case AshaPruning() as asha:
            return optuna.pruners.SuccessiveHalvingPruner(
                min_resource=asha.min_resource,
                reduction_factor=asha.reduction_factor,
                min_early_stopping_rate=asha.min_early_stopping_rate,
            )
        case _:
            assert_never(spec.early_terminate)
