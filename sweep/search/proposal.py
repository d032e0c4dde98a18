"""The next trial to try: first configurations, all configurations, or what a sampler says."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import optuna

from sweep.errors import UsageError
from sweep.search import latent
from sweep.search.configuration import Configurations, combinations
from sweep.search.define import DefinedSpace
from sweep.search.past import Past
from sweep.search.storage import HistoryStorage
from sweep.spec import Dimension, Duplicates, Fixed, Pbt, Space, StudySpec
from sweep.spec.inverse import latent_of
from sweep.spec.suggestion import plain
from sweep.spec.value import fresh, identity

RESAMPLED = 100
"""So often a sampler is asked again, at most, for parameters that were not tried yet."""

ENOUGH = 5
"""After so many, one is taken from a finite space that was not tried, whatever the sampler says."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A trial to be; fields as in `TrialAsked`. ``number`` is the ask that its seed is of."""

    number: int
    params: dict[str, Any]
    latents: dict[str, list[Any]] = field(default_factory=dict)
    wrote: dict[str, dict[str, Any]] = field(default_factory=dict)
    enqueued: int | None = None
    again: int = 0


class Exhausted(BaseException):
    """Leaves an ask: every combination of the space was tried.

    A `BaseException`, so that it does not pass for an error of a sampler or a space function.
    """


class Sampling(Protocol):
    """What a sampler is asked through."""

    def study_at(self, number: int) -> optuna.Study:
        """The study over the storage with the sampler of ask ``number``."""

    def suggest(self, trial: optuna.Trial, dimension: Dimension) -> Any:
        """The user's value of a dimension that the sampler of ``trial`` proposes."""


class Proposer:
    """Proposes trials of one spec. It leaves nothing behind in the storage."""

    def __init__(self, spec: StudySpec, storage: HistoryStorage, past: Past) -> None:
        self._spec, self._storage, self._past = spec, storage, past
        self._configurations = Configurations(spec)

    def over(self, storage: HistoryStorage, past: Past) -> Proposer:
        """One for snapshots; it remembers for this one how far the configurations are tried."""
        twin = copy.copy(self)
        twin._storage, twin._past = storage, past
        return twin

    def configured(self, place: int) -> Proposal:
        """The next trial of a method that goes through all configurations.

        ``place`` is how many trials were asked before.

        Raises:
            ValueError: all were tried.
        """
        for enqueued, entry in self._past.pending(self._spec):
            params = self._configurations.first_with(entry, self._past.tried)
            if params is not None:
                return Proposal(place, params, enqueued=enqueued)
        return Proposal(place, self._configurations.first(self._past.tried))

    def sampled(
        self, place: int, space: Space | DefinedSpace, sampling: Sampling, *, ends: bool
    ) -> Proposal:
        """What the sampler proposes; where an entry of ``enqueue`` is left, what that leaves open.

        A proposal that was tried before is dropped where the spec says so, at most `RESAMPLED`
        times; each sampler has a seed of its own, and knows what the one before it wrote. Where a
        finite space ``ends``, it is one that was not tried after `ENOUGH` of them, which the seed
        decides.

        Raises:
            Exhausted: nothing is left that was not tried.
            UsageError: an entry of ``enqueue`` does not fit the space that a function defines.
        """
        enqueued, fixed = next(self._past.pending(self._spec), (None, {}))
        ends = ends and enqueued is None and self._is_exhaustible
        if ends and isinstance(space, Space) and self._may_be_over(space):
            self._untried(place, space)  # else each ask would be made a hundred times in vain
        own, again = len(self._storage.trials), 0
        with self._storage.aside(own) as written:
            while True:
                made = self._suggested(_ask_number(place, again), space, fixed, sampling)
                dropped = enqueued is None and self._is_dropped(made, space, ends=ends)
                if ends and dropped and again == ENOUGH:
                    untried = self._untried(place, space)
                    if untried is not None:
                        self._storage.remove(own)
                        again += 1
                        number = _ask_number(place, again)
                        made, dropped = self._suggested(number, space, untried, sampling), False
                if again >= RESAMPLED or not dropped:
                    return replace(made, wrote=written(), enqueued=enqueued, again=again)
                self._storage.remove(own)
                again += 1

    @property
    def _is_exhaustible(self) -> bool:
        """Whether nothing is to be tried twice. Members of a population are always executed."""
        resamples = self._spec.duplicates is Duplicates.RESAMPLE
        return resamples and not isinstance(self._spec.method, Pbt)

    def _may_be_over(self, space: Space) -> bool:
        size = space.grid_size
        return size is not None and len(self._past.tried) >= size

    def _untried(self, place: int, space: Space | DefinedSpace) -> dict[str, Any] | None:
        """A combination that was not tried; None where there is no end of them.

        Raises:
            Exhausted: there is none.
        """
        chance = random.Random(f"{self._spec.seed}:{place}")
        for params in combinations(space, chance.randrange):
            if params is None:
                return None
            if identity(params) not in self._past.tried:
                return params
        raise Exhausted

    def _is_dropped(self, made: Proposal, space: Space | DefinedSpace, *, ends: bool) -> bool:
        """Whether its parameters were tried, and others may be left."""
        if self._spec.duplicates is not Duplicates.RESAMPLE:
            return False
        if ends:
            return identity(made.params) in self._past.tried
        tried, size = self._past.tried, space.grid_size if isinstance(space, Space) else None
        return identity(made.params) in tried and (size is None or len(tried) < size)

    def _suggested(
        self,
        number: int,
        space: Space | DefinedSpace,
        fixed: Mapping[str, Any],
        sampling: Sampling,
    ) -> Proposal:
        """Parameters with the values of ``fixed``, the others by the sampler of ask ``number``."""
        trial = sampling.study_at(number).ask()
        own = trial._trial_id

        def choose(dimension: Dimension) -> Any:
            if dimension.name in fixed:
                try:
                    return self._set(own, dimension, fixed[dimension.name])
                except (TypeError, ValueError) as error:
                    raise self._misfit(fixed, dimension.name, str(error)) from None
            return sampling.suggest(trial, dimension)

        params = space.complete(choose)
        for name in fixed.keys() - params.keys():
            given = ", ".join(params)
            raise self._misfit(fixed, name, f"has no meaning here, where there is: {given}")
        frozen = self._storage.get_trial(own)
        latents = {
            name: latent.to_journal(value, frozen.distributions[name])
            for name, value in frozen.params.items()
        }
        return Proposal(number, params, latents)

    def _misfit(self, entry: Mapping[str, Any], name: str, reason: str) -> UsageError:
        return UsageError(f"{self._spec.name}: enqueue: {plain(entry)}: {name}: {reason}")

    def _set(self, number: int, dimension: Dimension, value: Any) -> Any:
        """Give trial ``number`` a value that the sampler is not asked for; as the user sees it."""
        found = latent_of(dimension.domain, value)
        if not isinstance(dimension.domain.latent, Fixed):
            range_ = latent.distribution(dimension.domain.latent)
            internal = range_.to_internal_repr(found)
            self._storage.set_trial_param(number, dimension.name, internal, range_)
        drawn_as_float = isinstance(dimension.domain.value(found), float)
        return float(value) if drawn_as_float else fresh(value)


def _ask_number(place: int, again: int) -> int:
    """Which ask of the study it is: when a proposal is dropped, the next has a number of its own,
    far above those of trials."""
    return place + (again << 32)
