"""What a study was asked to do: the whole spec, validated and frozen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import (
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from sweep.errors import JournalVersionError
from sweep.spec.condition import condition_problems, grid_problems
from sweep.spec.constraint import Constraint, Constraints
from sweep.spec.enqueue import enqueue_problems
from sweep.spec.failure import Failing, MaxFailures
from sweep.spec.field import (
    Count,
    Flag,
    Natural,
    Seconds,
    Seed,
    Text,
    choice,
)
from sweep.spec.method import REFERENCE, AnySampler, Pbt, Sampler, population_problem
from sweep.spec.objective import Metrics, objective_problems
from sweep.spec.order import WINDOW, Lookahead, order_problems
from sweep.spec.parameter import Parameter
from sweep.spec.population import training_problems
from sweep.spec.problem import Problem, Section, dotted, problems_of, wrong, wrongs
from sweep.spec.rule import wrong_name
from sweep.spec.section import (
    CheckpointSpec,
    Duplicates,
    Logs,
    Metric,
    Names,
    Resources,
    WorkerSpec,
)
from sweep.spec.space import Space
from sweep.spec.suggestion import brief
from sweep.spec.termination import Termination
from sweep.spec.tracker import Trackers, twice_named

NAME = re.compile(r"\w[\w.-]{0,99}")


def _name(given: Any) -> Any:
    if not isinstance(given, str) or NAME.fullmatch(given):
        return given
    safe = re.sub(r"[^\w.-]+", "-", given).strip("-.")[:100]
    advice = f", such as {safe}" if safe else ""
    raise wrong(f"{brief(given)} cannot name a directory: use letters, digits and . _ -{advice}")


def _program(given: Any) -> Any:
    if not isinstance(given, str) or REFERENCE.fullmatch(given):
        return given
    module, _, function = given.partition(":")
    module = module.removesuffix(".py").strip("./").replace("/", ".")
    spelling = f"{module}:{function or 'main'}"
    if not REFERENCE.fullmatch(spelling):
        raise wrong(f"must be package.module:function, not {brief(given)}")
    what = "names a file" if ".py" in given or "/" in given else "names no function"
    raise wrong(f"{given} {what}: write module:function, such as {spelling}")


def _reference(given: Any) -> Any:
    if not isinstance(given, str) or REFERENCE.fullmatch(given):
        return given
    raise wrong(f"must be package.module:function, not {brief(given)}")


class StudySpec(Section):
    """One study: what to run, what to search, and with what."""

    model_config = ConfigDict(serialize_by_alias=True)

    foreign: ClassVar[Mapping[str, str]] = {
        "scheduler": "is W&B's: write a sampler as method, and its search space as space",
        "metrics": "is called metric here: write metric: [{name: loss}, {name: latency_ms}]",
    }

    name: Annotated[Text, BeforeValidator(_name)]
    """The study's name and its directory in the store. Default: the file's name without .yaml."""
    description: Text | None = None
    """What the study is for, in words."""
    program: Annotated[Text, BeforeValidator(_program)]
    """The trial function, package.module:function. It takes a sweep.Trial."""
    method: AnySampler
    """How the next trial is chosen: a sampler's name, or {name: tpe, multivariate: true}."""
    metric: Metrics
    """The number that the study optimises, or a list of them: the first is the leading one."""
    constraints: Constraints = ()
    """Bounds on metrics or parameters, such as latency_ms <= 20: others are no candidates."""
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    """The hyperparameters by name."""
    space_function: Annotated[Text, BeforeValidator(_reference)] | None = Field(
        default=None, alias="space"
    )
    """In place of parameters: a function that suggests them, package.module:function."""
    trials: Annotated[Count | None, Field(validation_alias=AliasChoices("trials", "run_cap"))] = (
        None
    )
    """Trials in total, however often the study was stopped. Only a grid may go without."""
    enqueue: tuple[dict[str, Any], ...] = ()
    """First configurations to try, in order; what one leaves open is for the sampler to choose."""
    warm_start: Names = ()
    """Other studies whose finished trials the sampler learns from, such as [runs/other]."""
    duplicates: Annotated[Duplicates, BeforeValidator(choice(Duplicates))] = Duplicates.RERUN
    """What is done about parameters that were tried before: rerun, reuse or resample."""
    concurrency: Count | None = None
    """The most trials that run at once. Default: as many as the resources allow."""
    timeout: Seconds | None = None
    """Time for the whole study: seconds, or 90s, 30m, 12h, 2d."""
    resources: Resources = Field(default_factory=Resources)
    """What one running trial holds."""
    checkpoint: CheckpointSpec = Field(default_factory=CheckpointSpec)
    """When trials are saved, and what is kept."""
    logs: Logs = Field(default_factory=Logs)
    """How much is kept of what trials print."""
    worker: WorkerSpec = Field(default_factory=WorkerSpec)
    """When the process in which trials run is replaced."""
    trackers: Trackers = ()
    """Where else it is shown: tensorboard, mlflow, wandb, alone or with options under the name."""
    early_terminate: Termination = None
    """Ends or pauses trials that do badly: {type: median}, asha, hyperband, percentile, patient,
    threshold, wilcoxon."""
    retries: Natural = 1
    """How often a trial is tried again after an exception."""
    interruptions: Natural | None = None
    """How often a trial may lose its worker, node or Ray's server before it fails. Default: no
    limit; pauses between attempts grow, and the study halts where nothing else happens."""
    on_failure: Annotated[Failing, BeforeValidator(choice(Failing))] = Failing.WORST
    """What the sampler is told of a trial whose code raised, its retries spent, or that never
    reported the metric: worst (it is worse than all results) or ignore."""
    on_nan: Annotated[Failing, BeforeValidator(choice(Failing))] = Failing.WORST
    """The same for a trial whose metric is NaN, or an infinity that no result could beat."""
    max_failures: MaxFailures = "alike"
    """The study halts after so many failed trials; with alike (the default) where no trial came to
    a result and three failed with the same traceback; with none never."""
    strict_code: Flag = False
    """Refuse to go on with trials that another source of the program has begun; else warn."""
    seed: Seed = 0
    """All randomness follows from it."""
    deterministic: Flag = False
    """Results count in the order of numbers: tables and weights then depend neither on slots nor
    timing. A slot may have to wait for a trial that is window numbers back."""
    window: Count = WINDOW
    """With deterministic: trial n is asked with the results of those up to n - window, and no
    others. At least the number of slots; twice that loses little."""
    lookahead: Lookahead = "auto"
    """Prepare the next suggestion while trials run: auto (where an ask takes long), true, false."""

    @classmethod
    def accepted(cls, content: Mapping[str, Any]) -> StudySpec:
        """The spec that a journal holds as ``content``.

        Raises:
            JournalVersionError: it is none here: a newer sweep knows more keys, say.
        """
        try:
            return cls.model_validate(_as_it_was(content))
        except ValidationError as error:
            first = problems_of(error, cls, content)[0]
            raise JournalVersionError(
                f"{content.get('name')}: its spec is of another version of sweep: "
                f"{dotted(first.path)}: {first.message}; read it with the one that wrote it, "
                "or update sweep"
            ) from error

    @property
    def lag(self) -> int | None:
        """``window`` under ``deterministic: true``.

        None where results count as they come, or are those of a population, which comes in rounds.
        """
        return self.window if self.deterministic and not isinstance(self.method, Pbt) else None

    @cached_property
    def space(self) -> Space:
        """The parameters as dimensions to choose values for; none where a function suggests."""
        return Space.of(self.parameters)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """What stands for a parameter in trials that were made without it."""
        return {name: each.default for name, each in self.parameters.items() if each.has_default}

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """The metrics that the study optimises, one or several."""
        return (self.metric,) if isinstance(self.metric, Metric) else self.metric

    @property
    def objective(self) -> Metric:
        """The leading metric: of several the first. It decides where only one can."""
        return self.objectives[0]

    @cached_property
    def bounds(self) -> tuple[Constraint, ...]:
        """The constraints, each read."""
        return tuple(map(Constraint.parse, self.constraints))

    @model_validator(mode="after")
    def _consistent(self) -> StudySpec:
        names = tuple(self.parameters) if "parameters" in self.model_fields_set else None
        problems = list(
            study_problems(
                self.parameters, names, self.method, self.trials, space=self.space_function
            )
        )
        problems += training_problems(
            self.method,
            self.trials,
            self.parameters,
            self.checkpoint,
            objectives=len(self.objectives),
            constrained=bool(self.constraints),
            prunes=self.early_terminate is not None,
        )
        problems += order_problems(self.lag, self.concurrency)
        problems += objective_problems(
            self.method,
            len(self.objectives),
            self.constraints,
            self.parameters,
            prunes=self.early_terminate is not None,
        )
        problems += twice_named(self.trackers)
        if self.space_function is None:
            problems += enqueue_problems(self.enqueue, self.parameters, names or ())
        if problems:
            raise wrongs(problems)
        return self


def _as_it_was(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A journal's spec with what an older sweep did, where it had no key for that."""
    if "on_failure" in content:
        return content
    older = {"on_failure": Failing.IGNORE, "on_nan": Failing.IGNORE, "max_failures": "none"}
    return older | dict(content)


def study_problems(
    parameters: Mapping[str, Parameter],
    names: tuple[str, ...] | None,
    method: Sampler | None,
    trials: Any,
    *,
    space: Any = None,
) -> Iterator[Problem]:
    """What is wrong between the parts of a study, each of them valid.

    ``names`` are all parameters that were written (None: not even the key), ``parameters`` the
    valid ones, ``method`` is None where it is not valid, ``trials`` None where there is none, and
    ``space`` the function that suggests parameters, if one does.
    """
    if space is None:
        if not names:
            missing = "is required" if names is None else "is empty: needs at least one parameter"
            yield Problem(("parameters",), missing)
    elif names:
        message = "cannot stand beside space, whose function suggests parameters: keep one"
        yield Problem(("parameters",), message)
    names = names or ()
    for name in names:
        wrong_one = wrong_name(name)
        if wrong_one is not None:
            yield Problem(("parameters", name), wrong_one)
    yield from condition_problems(parameters, names)
    if method is None:
        return
    if method.ends and space is not None:
        advice = "write parameters, or choose another method"
        yield Problem(("space",), f"has no end that method {method.name} could come to: {advice}")
    elif method.ends:
        yield from grid_problems(parameters, method.name)
    elif trials is None:
        message = "is required: only methods grid and brute have an end of their own"
        yield Problem(("trials",), message)
    problem = population_problem(method, trials)
    if problem is not None:
        yield problem
