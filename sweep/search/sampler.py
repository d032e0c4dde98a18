"""Samplers as the spec names them."""

from __future__ import annotations

import hashlib
import inspect
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, assert_never

import optuna
from optuna import samplers

from sweep import reference
from sweep.errors import ProgramError, SweepError
from sweep.search.cmaes import Cmaes
from sweep.search.intersection import quicken
from sweep.search.penalty import seen_state
from sweep.spec import Choice, Crossover, Factory, Method, StudySpec
from sweep.spec.latent import Fixed


def ask_seed(study_seed: int, number: int) -> int:
    """The seed of the sampler for ask ``number`` of a study: 32 bits, the same everywhere."""
    digest = hashlib.sha256(f"ask:{study_seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


class SamplerSource:
    """Makes the samplers of one study.

    A fresh one for each ask knows nothing but the history, which is what makes a suggestion a pure
    function of the journal.
    """

    def __init__(self, spec: StudySpec, project: str) -> None:
        """``project`` is where a factory of the user's is imported from.

        Raises:
            ProgramError: the factory cannot be had, or does not take its options.
        """
        self._seed, self._options = spec.seed, spec.method.options
        blind = (Method.RANDOM, Method.QMC, Method.PBT)
        self.learns = not spec.method.ends and spec.method.name not in blind
        """Whether samplers look at results at all."""
        self._what, self._project = f"method {str(spec.method.name)!r}", project
        self._make = self._maker(spec, project)

    def at(self, number: int) -> samplers.BaseSampler:
        """A sampler, as good as fresh, for ask ``number`` (the trial's where nothing was forked).

        Raises:
            ProgramError: a factory of the user's raised, or made something else.
        """
        sampler = self._make(number)
        quicken(sampler)
        return sampler

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What a sampler raises in the block is an error of its study, which ends no other one."""
        try:
            yield
        except SweepError:
            raise
        except Exception as error:
            raise ProgramError(f"{self._what}: {_raised(error, self._project)}") from error

    @cached_property
    def notes_results(self) -> bool:
        """Whether the sampler may write something down when it learns of a result."""
        kind = type(self.at(0))
        return kind.after_trial is not samplers.BaseSampler.after_trial

    @cached_property
    def failure_state(self) -> optuna.trial.TrialState:
        """How the sampler is to see a failed trial."""
        return seen_state(self.at(0))

    @cached_property
    def founding(self) -> dict[str, Any]:
        """Attributes of a trial that the sampler did not propose and is to learn from.

        A genetic sampler breeds from trials of a generation only: these are of the first.
        """
        sampler = self.at(0)
        if not isinstance(sampler, samplers.BaseGASampler):
            return {}
        return {sampler._get_generation_key(): 0}

    def _maker(self, spec: StudySpec, project: str) -> Callable[[int], samplers.BaseSampler]:
        method = spec.method
        if isinstance(method, Factory):
            factory = _UserFactory(method, spec.seed, project)
            return lambda number: factory.make(ask_seed(self._seed, number))
        name = Method(method.name)
        match name:
            case Method.RANDOM | Method.GRID | Method.BRUTE | Method.PBT:
                return lambda number: _random_sampler(ask_seed(self._seed, number))
            case Method.TPE:
                return self._seeded(samplers.TPESampler)
            case Method.GP:
                return self._seeded(samplers.GPSampler, warn_independent_sampling=False)
            case Method.CMAES:
                return self._seeded(Cmaes, always=_always(spec), warn_independent_sampling=False)
            case Method.NSGA2:
                return self._seeded(samplers.NSGAIISampler)
            case Method.NSGA3:
                return self._seeded(samplers.NSGAIIISampler)
            case Method.QMC:
                return self._sequence
            case _:
                assert_never(name)

    def _seeded(
        self, kind: Callable[..., samplers.BaseSampler], **fixed: Any
    ) -> Callable[[int], samplers.BaseSampler]:
        options = dict(self._options) | fixed
        crossover = options.pop("crossover", None)
        if not options and crossover is None:
            return lambda number: kind(seed=ask_seed(self._seed, number))

        def make(number: int) -> samplers.BaseSampler:
            with _settled():
                bred = {} if crossover is None else {"crossover": _CROSSOVERS[crossover]()}
                return kind(seed=ask_seed(self._seed, number), **options, **bred)

        return make

    def _sequence(self, number: int) -> samplers.BaseSampler:
        """Scrambled QMC is one sequence for the whole study, hence the study's own seed."""
        with _settled():
            return samplers.QMCSampler(
                seed=self._seed,
                independent_sampler=_random_sampler(ask_seed(self._seed, number)),
                warn_independent_sampling=False,
                warn_asynchronous_seeding=False,
                **({"scramble": True} | self._options),
            )


@contextmanager
def _settled() -> Iterator[None]:
    """Optuna calls some of it experimental; versions are pinned, recorded and replayed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


_CROSSOVERS: Mapping[Crossover, Callable[[], samplers.nsgaii.BaseCrossover]] = {
    Crossover.UNIFORM: samplers.nsgaii.UniformCrossover,
    Crossover.BLXALPHA: samplers.nsgaii.BLXAlphaCrossover,
    Crossover.SPX: samplers.nsgaii.SPXCrossover,
    Crossover.SBX: samplers.nsgaii.SBXCrossover,
    Crossover.VSBX: samplers.nsgaii.VSBXCrossover,
    Crossover.UNDX: samplers.nsgaii.UNDXCrossover,
}


class _UserFactory:
    """``module:factory`` of the user's, checked once."""

    def __init__(self, method: Factory, study_seed: int, project: str) -> None:
        self._what, self._project = f"method {method.name!r}", project
        self._factory = reference.load(method.name, project, self._what)[1]
        self._options = dict(method.options)
        if not callable(self._factory):
            kind = type(self._factory).__name__
            raise ProgramError(f"{self._what}: is {kind}, not a function or class")
        try:
            signature = inspect.signature(self._factory)
        except ValueError as error:
            raise ProgramError(f"{self._what}: {error}; write a function around it") from error
        if "study_seed" in signature.parameters:
            self._options["study_seed"] = study_seed
        self._check(signature)
        self.make(ask_seed(study_seed, 0))

    def _check(self, signature: inspect.Signature) -> None:
        try:
            signature.bind(seed=0, **self._options)
        except TypeError as error:
            known = [name for name in signature.parameters if name != "seed"]
            unknown = [name for name in self._options if name not in known]
            near = get_close_matches(unknown[0], known, 1) if unknown else []
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ProgramError(
                f"{self._what}: is called with seed= and the options, but its parameters are "
                f"{signature}: {error}{hint}"
            ) from error

    def make(self, seed: int) -> samplers.BaseSampler:
        try:
            with _settled():
                made = self._factory(seed=seed, **self._options)
        except (Exception, SystemExit) as error:
            raise ProgramError(f"{self._what}: {_raised(error, self._project)}") from error
        if not isinstance(made, samplers.BaseSampler):
            kind = type(made).__name__
            raise ProgramError(f"{self._what}: made {kind}, not a sampler of Optuna's")
        return made


def _raised(error: BaseException, project: str) -> str:
    """What was raised, and the last line below ``project`` that it came through."""
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if Path(project) in Path(frame.filename).parents]
    where = f" ({users[-1].filename}:{users[-1].lineno})" if users else ""
    return f"raised {reason}{where}"


def _random_sampler(seed: int) -> samplers.RandomSampler:
    """A random sampler that is like a fresh one, until the next call in this thread.

    It holds nothing but its generator, and a generator that is seeded again is as new. To make one
    takes numpy longer than all the rest of an ask, since it first asks the system for a seed.
    """
    sampler: samplers.RandomSampler | None = getattr(_made, "random", None)
    if sampler is None:
        sampler = _made.random = samplers.RandomSampler(seed=seed)
    sampler._rng.rng.seed(seed)  # `reseed_rng`, the public way, takes no seed
    return sampler


_made = threading.local()


def _always(spec: StudySpec) -> frozenset[str] | None:
    """Parameters that every trial has; None where only a function of the user's could say."""
    if spec.space_function is not None:
        return None
    return frozenset(each.name for each in spec.space.dimensions if not each.when)


def independent(spec: StudySpec) -> list[str]:
    """Parameters that the method draws at random, since it cannot model them.

    CMA-ES knows numbers that every trial has, and needs two of them; a Gaussian process knows
    parameters that every trial has.
    """
    if spec.method.name not in (Method.CMAES, Method.GP):
        return []
    searched = [
        dimension
        for dimension in spec.space.dimensions
        if not isinstance(dimension.domain.latent, Fixed)
    ]
    unknown = [
        dimension.name
        for dimension in searched
        if dimension.when
        or (spec.method.name == Method.CMAES and isinstance(dimension.domain.latent, Choice))
    ]
    too_few = spec.method.name == Method.CMAES and len(searched) - len(unknown) < 2
    return [dimension.name for dimension in searched] if too_few else unknown


def learns_nothing(spec: StudySpec) -> bool:
    """Whether the method proposes the same whatever trials it did not propose have found.

    CMA-ES goes by the generations that it has proposed itself.
    """
    deaf = (Method.RANDOM, Method.QMC, Method.CMAES, Method.PBT)
    return spec.method.name in deaf or spec.method.ends
