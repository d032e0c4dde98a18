"""What may be wrong about a population that is trained: ``method: pbt`` among the other keys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from sweep.spec.latent import Fixed
from sweep.spec.method import Pbt, Sampler
from sweep.spec.parameter import Parameter
from sweep.spec.problem import Problem
from sweep.spec.section import CheckpointSpec


def training_problems(
    method: Sampler,
    trials: Any,
    parameters: Mapping[str, Parameter],
    checkpoint: CheckpointSpec,
    *,
    objectives: int,
    constrained: bool,
    prunes: bool,
) -> Iterator[Problem]:
    """Why method ``pbt`` cannot work; nothing for other methods.

    ``objectives`` is their number; ``constrained``: there are constraints; ``prunes``: trials are
    ended early, too.
    """
    if not isinstance(method, Pbt):
        return
    yield from _size_problems(method, trials)
    if objectives > 1:
        message = (
            f"pbt compares members by one metric, and there are {objectives}: use nsga2 or tpe"
        )
        yield Problem(("method",), message)
    if constrained:
        message = "mean nothing to method pbt, which compares members by the metric: remove them"
        yield Problem(("constraints",), message)
    if prunes:
        message = "cannot be beside method pbt, which ends what does badly itself: remove it"
        yield Problem(("early_terminate",), message)
    if parameters and all(isinstance(each.domain.latent, Fixed) for each in parameters.values()):
        message = "are all constant, so method pbt has nothing to explore: give one a range"
        yield Problem(("parameters",), message)
    if checkpoint.every == "none" and checkpoint.overhead is None:
        message = "none leaves method pbt nothing to fork from: write every: {epochs: 1}"
        yield Problem(("checkpoint",), message)


def _size_problems(method: Pbt, trials: Any) -> Iterator[Problem]:
    if not isinstance(trials, int):
        return
    size = method.population_size
    path = ("method", "population_size")
    if size is not None and size > trials:
        yield Problem(
            path, f"a population of {size} needs as many trials, not {trials}: write trials: {size}"
        )
    elif size is not None and size < trials:
        meant = f"trials: {size} (forks that take a place are not counted)"
        yield Problem(
            path, f"a population of {size} has {size} trials, not {trials}: write {meant}"
        )
    elif trials < 2:
        yield Problem(("trials",), f"must be 2 or more with method pbt, not {trials}")
    elif trials * method.quantile + 1e-9 < 1:
        least = math.ceil(100 / trials) / 100
        yield Problem(
            ("method", "quantile_fraction"),
            f"{method.quantile:g} of {trials} trials is not one: write {least:g}, or more trials",
        )
