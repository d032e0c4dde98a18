"""Latent ranges of the space as Optuna's distributions."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweep.spec import Choice, Dimension, Fixed, Integer, Latent, Real


def suggest(trial: optuna.Trial, dimension: Dimension) -> Any:
    """Ask the sampler for the latent value of ``dimension``."""
    match dimension.domain.latent:
        case Fixed():
            return None
        case Real() as real:
            return trial.suggest_float(
                dimension.name, real.low, real.high, log=real.log, step=real.step
            )
        case Integer() as whole:
            return trial.suggest_int(
                dimension.name, whole.low, whole.high, log=whole.log, step=whole.step or 1
            )
        case Choice() as choice:
            return trial.suggest_categorical(dimension.name, list(range(choice.size)))


def distribution(range_: Latent) -> BaseDistribution:
    """Optuna's name for a latent range, as `suggest` would have it."""
    match range_:
        case Real():
            return FloatDistribution(range_.low, range_.high, log=range_.log, step=range_.step)
        case Integer():
            return IntDistribution(range_.low, range_.high, log=range_.log, step=range_.step or 1)
        case Choice():
            return CategoricalDistribution(list(range(range_.size)))
        case Fixed():
            raise ValueError("a constant has no distribution")


def same_kind(older: BaseDistribution, range_: Latent) -> bool:
    """Whether a parameter that was drawn from ``older`` may be drawn from ``range_``, too.

    Samplers compare its values: the kind and the number of choices must stay, bounds may move.
    """
    if isinstance(range_, Fixed):
        return False
    newer = distribution(range_)
    if isinstance(newer, CategoricalDistribution):
        return newer == older
    return type(newer) is type(older)


def to_journal(value: Any, distribution: BaseDistribution) -> list[Any]:
    """A latent value with its range, in JSON's types."""
    return [value, *_described(distribution)]


@lru_cache(maxsize=1024)
def _described(distribution: BaseDistribution) -> tuple[str, dict[str, Any]]:
    described = json.loads(optuna.distributions.distribution_to_json(distribution))
    return described["name"], described["attributes"]


_KINDS: dict[str, type[BaseDistribution]] = {
    kind.__name__: kind for kind in (FloatDistribution, IntDistribution, CategoricalDistribution)
}


def from_journal(latent: list[Any]) -> tuple[Any, BaseDistribution]:
    """The reverse of `to_journal`."""
    value, name, attributes = latent
    return value, _KINDS[name](**attributes)
