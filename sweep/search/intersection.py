"""The parameters that all results have in common, found at once in a long history."""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace, intersection_search_space
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class Intersection(IntersectionSearchSpace):
    """As Optuna's, which remembers how far it came and so is slow where it is new for each ask.

    Here trials that were asked alike hold one and the same dict of distributions (`Signatures`), so
    that few of many trials have to be compared.
    """

    def calculate(self, study: Study, use_cache: bool = False) -> dict[str, BaseDistribution]:
        """The common parameters with their ranges, by name."""
        states = {TrialState.COMPLETE} | ({TrialState.PRUNED} if self._include_pruned else set())
        ended = study._get_trials(deepcopy=False, states=tuple(states), use_cache=use_cache)
        distinct: dict[int, FrozenTrial] = {id(trial.distributions): trial for trial in ended}
        return intersection_search_space(list(distinct.values()), self._include_pruned)


def quicken(sampler: BaseSampler) -> None:
    """Give a sampler that was just made the quick intersection, where it uses Optuna's."""
    for name in ("_search_space", "_intersection_search_space"):
        found = getattr(sampler, name, None)
        if type(found) is IntersectionSearchSpace:
            setattr(sampler, name, Intersection(found._include_pruned))


class Signatures:
    """One dict for all trials whose parameters have the same names and ranges."""

    def __init__(self) -> None:
        self._known: dict[Any, dict[str, BaseDistribution]] = {}

    def one(self, distributions: dict[str, BaseDistribution]) -> dict[str, BaseDistribution]:
        """The dict that stands for all those equal to this one, order included."""
        return self._known.setdefault(tuple(distributions.items()), distributions)
