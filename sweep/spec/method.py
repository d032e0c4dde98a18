"""How the next trial is chosen: a sampler by name, with its options.

Options have the names, the meaning and the defaults of Optuna's samplers; a test holds these models
against the samplers' own signatures. What only Python can say (a callable, an object) is for a
factory of the user's: ``module:factory``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_serializer,
    model_validator,
)

from sweep.spec.field import (
    Count,
    Factor,
    Flag,
    Half,
    Natural,
    Positive,
    Probability,
    Text,
    choice,
    whole,
)
from sweep.spec.problem import Problem, Section, wrong, wrongs
from sweep.spec.suggestion import brief, closest, listed

_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
REFERENCE = re.compile(f"{_DOTTED}:{_DOTTED}")
"""``package.module:name``."""


class Method(StrEnum):
    """The samplers that have a name."""

    TPE = "tpe"
    GP = "gp"
    CMAES = "cmaes"
    NSGA2 = "nsga2"
    NSGA3 = "nsga3"
    QMC = "qmc"
    RANDOM = "random"
    PBT = "pbt"
    GRID = "grid"
    BRUTE = "brute"


ALIASES = {"bayes": Method.TPE}
"""Other names of methods: W&B's."""


class Sampler(Section):
    """Base of the samplers. Written as its name alone where it has no options."""

    tag: ClassVar[str] = "name"

    name: str
    """The sampler."""

    @property
    def options(self) -> dict[str, Any]:
        """What was written beside the name; all else is as the sampler itself has it."""
        return {name: value for name, value in self if name != "name" and value is not None}

    @property
    def ends(self) -> bool:
        """Whether it has an end of its own: every configuration once."""
        return self.name in (Method.GRID, Method.BRUTE)

    @property
    def population(self) -> int | None:
        """How many trials it draws at random before it begins to breed, if it breeds."""
        return None

    @model_serializer
    def _written(self) -> str | dict[str, Any]:
        return {"name": str(self.name), **self.options} if self.options else str(self.name)


class Tpe(Sampler):
    """Tree-structured Parzen estimator: good regions are those where good trials were.

    Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011.
    """

    name: Literal[Method.TPE]
    n_startup_trials: Natural | None = None
    """Trials at random before the sampler learns (10)."""
    n_ei_candidates: Count | None = None
    """Candidates from which each value is chosen (24)."""
    multivariate: Flag | None = None
    """Whether parameters are modelled together."""
    group: Flag | None = None
    """With multivariate: whether parameters that occur together are modelled in groups."""
    constant_liar: Flag | None = None
    """Whether running trials count as bad ones, so that others keep away from them (true)."""
    prior_weight: Positive | None = None
    """Weight of the prior (1)."""
    consider_prior: Flag | None = None
    """Whether the prior stabilises the estimate (true)."""
    consider_magic_clip: Flag | None = None
    """Whether the narrowest bandwidth is limited (true)."""
    consider_endpoints: Flag | None = None
    """Whether the bounds count when bandwidths are chosen (false)."""

    @model_validator(mode="after")
    def _group_of_what(self) -> Tpe:
        if self.group and not self.multivariate:
            raise wrongs([Problem(("group",), "needs multivariate: true beside it")])
        return self


class Gp(Sampler):
    """A Gaussian process; few trials, each of them dear."""

    name: Literal[Method.GP]
    n_startup_trials: Natural | None = None
    """Trials at random before the sampler learns (10)."""
    deterministic_objective: Flag | None = None
    """Whether the same parameters always give the same value (false)."""


class Cmaes(Sampler):
    """Covariance matrix adaptation: continuous parameters, many trials.

    Hansen, The CMA Evolution Strategy: A Tutorial, arXiv 1604.00772.
    """

    foreign: ClassVar[Mapping[str, str]] = {
        "restart_strategy": "is not in Optuna any more: a factory can take it from OptunaHub",
        "inc_popsize": "is not in Optuna any more: a factory can take it from OptunaHub",
    }

    name: Literal[Method.CMAES]
    n_startup_trials: Natural | None = None
    """Trials at random before the sampler learns (1)."""
    popsize: Annotated[int, Field(ge=4), BeforeValidator(whole)] | None = None
    """Trials of a generation, 4 or more (4 + 3 ln n for n parameters)."""
    consider_pruned_trials: Flag | None = None
    """Whether pruned trials count, with their last value."""
    use_separable_cma: Flag | None = None
    """Whether the covariance is diagonal: for many parameters."""
    with_margin: Flag | None = None
    """Whether integers keep a chance to change."""
    lr_adapt: Flag | None = None
    """Whether the learning rate adapts: for noisy objectives."""

    @model_validator(mode="after")
    def _one_variant(self) -> Cmaes:
        variants = ("use_separable_cma", "with_margin", "lr_adapt")
        given = [name for name in variants if getattr(self, name)]
        if len(given) > 1:
            problem = f"cannot be beside {given[0]}: keep one"
            raise wrongs([Problem((name,), problem) for name in given[1:]])
        return self


class Crossover(StrEnum):
    """How two (or three) parents make a child."""

    UNIFORM = "uniform"
    BLXALPHA = "blxalpha"
    SPX = "spx"
    SBX = "sbx"
    VSBX = "vsbx"
    UNDX = "undx"


class _Genetic(Sampler):
    population_size: Factor | None = None
    """Trials of a generation (50)."""
    mutation_prob: Probability | None = None
    """The probability that a parameter of a child is drawn anew (1 / parameters)."""
    crossover: Annotated[Crossover, BeforeValidator(choice(Crossover))] | None = None
    """uniform (the default), blxalpha, spx, sbx, vsbx or undx."""
    crossover_prob: Probability | None = None
    """The probability that a child has two parents (0.9)."""
    swapping_prob: Probability | None = None
    """With crossover uniform: the probability of each swap (0.5)."""

    @property
    def population(self) -> int:
        return self.population_size or DEFAULT_POPULATION


DEFAULT_POPULATION = 50
"""The population of Optuna's genetic samplers."""


class Nsga2(_Genetic):
    """A genetic algorithm that sorts by dominance, for several objectives.

    Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, 2002.
    """

    name: Literal[Method.NSGA2]


class Nsga3(_Genetic):
    """As nsga2, with reference points: for more than three objectives.

    Deb and Jain, An Evolutionary Many-Objective Optimization Algorithm, 2014.
    """

    name: Literal[Method.NSGA3]
    dividing_parameter: Count | None = None
    """How finely the reference points lie (3)."""


class Sequence(StrEnum):
    """The kinds of quasi-Monte Carlo sequences."""

    SOBOL = "sobol"
    HALTON = "halton"


class Qmc(Sampler):
    """A quasi-Monte Carlo sequence: random, but spread evenly."""

    name: Literal[Method.QMC]
    qmc_type: Annotated[Sequence, BeforeValidator(choice(Sequence))] | None = None
    """sobol (the default) or halton."""
    scramble: Flag | None = None
    """Whether the sequence depends on the seed (true)."""


class Random(Sampler):
    """Independent draws."""

    name: Literal[Method.RANDOM]


class Pbt(Sampler):
    """Population based training: members that do badly make way for forks of better ones.

    Jaderberg et al., Population Based Training of Neural Networks, arXiv 1711.09846. Options and
    defaults are those of Ray Tune's PopulationBasedTraining, with steps for its times.
    """

    foreign: ClassVar[Mapping[str, str]] = {
        "population": "is called population_size here",
        "interval": "is called perturbation_interval here",
        "quantile": "is called quantile_fraction here",
        "perturb": "is called perturbation_factors here",
        "resample": "is called resample_probability here",
        "hyperparam_mutations": "has no meaning here: all of parameters is explored",
        "synch": "is not supported: members do not wait for each other",
    }

    name: Literal[Method.PBT]
    population_size: Factor | None = None
    """Members that train at a time: as many as trials, which it may repeat."""
    perturbation_interval: Count | None = None
    """Steps of a member from one comparison with the others to the next (5)."""
    quantile_fraction: Half | None = None
    """The part of the members that is worst, and the part that is best, at most 0.5 (0.25)."""
    resample_probability: Probability | None = None
    """The probability that a parameter is drawn anew instead of perturbed (0.25)."""
    perturbation_factors: Annotated[tuple[Positive, ...], Field(min_length=1)] | None = None
    """What numbers are multiplied with, one of them at random ([0.8, 1.2])."""

    @property
    def interval(self) -> int:
        """``perturbation_interval``, in steps."""
        return self.perturbation_interval or 5

    @property
    def quantile(self) -> float:
        """``quantile_fraction``."""
        return self.quantile_fraction or 0.25

    @property
    def resample(self) -> float:
        """``resample_probability``."""
        return 0.25 if self.resample_probability is None else self.resample_probability

    @property
    def factors(self) -> tuple[float, ...]:
        """``perturbation_factors``."""
        return self.perturbation_factors or (0.8, 1.2)


class Grid(Sampler):
    """Every configuration once, in order, the last parameter changing fastest."""

    name: Literal[Method.GRID]


class Brute(Sampler):
    """Every configuration once, in an order that the seed decides."""

    name: Literal[Method.BRUTE]


class Factory(Sampler):
    """A function or class of the user's, called with ``seed`` and the options for each ask.

    It returns a sampler of Optuna's (or OptunaHub's) that learns from the history alone.
    """

    model_config = ConfigDict(extra="allow")

    name: Text
    """module:factory."""

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


_KINDS = {
    Method.TPE: Tpe,
    Method.GP: Gp,
    Method.CMAES: Cmaes,
    Method.NSGA2: Nsga2,
    Method.NSGA3: Nsga3,
    Method.QMC: Qmc,
    Method.RANDOM: Random,
    Method.PBT: Pbt,
    Method.GRID: Grid,
    Method.BRUTE: Brute,
}


def read_method(given: Any) -> Any:
    """A method's name, or a mapping with its name and options, as such a mapping."""
    if isinstance(given, Sampler):
        return given
    if isinstance(given, Mapping):
        if "name" not in given:
            raise wrongs([Problem(("name",), "is required: the sampler that the options are for")])
        try:
            return {**given, "name": _name(given["name"])}
        except ValueError as error:
            raise wrongs([Problem(("name",), str(error))]) from None
    try:
        return {"name": _name(given)}
    except ValueError as error:
        raise wrong(str(error)) from None


def _name(given: Any) -> str:
    names = {**{each.value: each for each in Method}, **ALIASES}
    if isinstance(given, str):
        if given in names:
            return names[given]
        if REFERENCE.fullmatch(given):
            return given
        near = closest(given, names)
        if near is not None:
            raise ValueError(f"there is no {brief(given)}; did you mean {near}?")
    raise ValueError(f"must be {listed(names, 'or')}, or module:factory, not {brief(given)}")


def _kind(given: Any) -> str:
    name = given.get("name") if isinstance(given, Mapping) else getattr(given, "name", None)
    return name if name in _KINDS else "factory"


AnySampler = Annotated[
    Annotated[
        Annotated[Tpe, Tag("tpe")]
        | Annotated[Gp, Tag("gp")]
        | Annotated[Cmaes, Tag("cmaes")]
        | Annotated[Nsga2, Tag("nsga2")]
        | Annotated[Nsga3, Tag("nsga3")]
        | Annotated[Qmc, Tag("qmc")]
        | Annotated[Random, Tag("random")]
        | Annotated[Pbt, Tag("pbt")]
        | Annotated[Grid, Tag("grid")]
        | Annotated[Brute, Tag("brute")]
        | Annotated[Factory, Tag("factory")],
        Discriminator(_kind),
    ],
    BeforeValidator(read_method),
]


def population_problem(sampler: Sampler, trials: Any) -> Problem | None:
    """A population that no trial is bred from."""
    population = sampler.population
    if population is None or not isinstance(trials, int) or population <= trials:
        return None
    smaller = f"{{name: {sampler.name}, population_size: {max(2, trials // 5)}}}"
    message = (
        f"a population of {population} needs more than {trials} trials, which would all be drawn "
        f"at random: write {smaller}"
    )
    return Problem(("method",), message)
