"""The parts of a spec: the metric, and how trials are held, saved and stopped early."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from sweep.spec.field import Amount, Bytes, Count, Factor, Natural, Positive, Text, choice
from sweep.spec.problem import Problem, Section, wrong, wrongs
from sweep.spec.suggestion import brief


class Goal(StrEnum):
    """Which values of the metric are better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Metric(Section):
    """The number that the study optimises."""

    foreign: ClassVar[Mapping[str, str]] = {
        "target": "is not supported: remove it (trials and timeout end a study)",
        "impute": "is not supported: remove it (a failed trial is not told to the sampler)",
        "impute_while_running": "is not supported: remove it",
    }

    name: Text
    """Its name in trial.report(...) or in what the trial returns."""
    goal: Annotated[Goal, BeforeValidator(choice(Goal))] = Goal.MINIMIZE
    """minimize (the default, as in W&B) or maximize."""


class Resources(Section):
    """What one running trial holds."""

    cpu: Amount = 1.0
    """CPU cores; also the number of threads that its libraries may use."""
    gpu: Amount = 0.0
    """GPUs; below 1 several trials share one."""
    memory: Bytes | None = None
    """Main memory, such as 4GB or 512MiB. It is reserved, not enforced."""

    @model_validator(mode="after")
    def _something(self) -> Resources:
        problems = []
        if self.cpu == 0 and self.gpu == 0:
            problems.append(Problem(("cpu",), "must be above 0 where gpu is 0"))
        if self.gpu > 1 and not self.gpu.is_integer():
            message = f"must be a whole number above 1, not {self.gpu:g}"
            problems.append(Problem(("gpu",), message))
        if problems:
            raise wrongs(problems)
        return self


class Every(Section):
    """When a running trial is saved. Where several are given, the first that is due counts."""

    epochs: Count | None = None
    """After this many epochs of trial.epochs() (outside of it: reports)."""
    steps: Count | None = None
    """After this many calls of trial.step()."""
    minutes: Positive | None = None
    """After this many minutes."""

    @model_validator(mode="after")
    def _something(self) -> Every:
        if self.epochs is None and self.steps is None and self.minutes is None:
            raise wrongs([Problem((), "needs epochs, steps or minutes")])
        return self


class Keep(Section):
    """Which checkpoints of a trial are kept."""

    last: Count = 1
    """The newest ones; a trial goes on from the newest that is whole."""
    best: Natural = 1
    """Those with the best value of the metric."""


class Mirror(Section):
    """Where a study is copied to, behind its run."""

    to: Text
    """s3://bucket/prefix or an absolute path; the study gets a folder of its name in it."""
    wait: Amount = 60.0
    """Seconds that the end of a run waits for the mirror to catch up."""

    @model_validator(mode="after")
    def _absolute(self) -> Mirror:
        if not self.to.startswith(("s3://", "file:///", "/", "~")):
            message = f"must be s3://bucket/prefix or an absolute path, not {brief(self.to)}"
            raise wrongs([Problem(("to",), message)])
        return self


class Compression(Section):
    """How checkpoints are compressed: byte shuffling, then zstd."""

    codec: Literal["zstd"] = "zstd"
    """zstd is all there is."""
    level: Annotated[Count, Field(le=19)] = 3
    """From 1 (fast) to 19."""
    where: Literal["mirror"] = "mirror"
    """Only in the mirror: it is slower than a disk."""


def read_short(key: str) -> Callable[[Any], Any]:
    """A validator that takes a text for a section in which only ``key`` is given; none is None."""

    def read(given: Any) -> Any:
        if given == "none":
            return None
        return {key: given} if isinstance(given, str) else given

    return read


class CheckpointSpec(Section):
    """When trials are saved, and what is kept."""

    every: Every = Field(default_factory=lambda: Every(epochs=1))
    """How often a running trial is saved: epochs, steps or minutes."""
    keep: Keep = Field(default_factory=Keep)
    """How many checkpoints of a trial are kept."""
    mirror: Annotated[Mirror | None, BeforeValidator(read_short("to"))] = None
    """A second place for the study, such as s3://bucket/prefix."""
    compression: Annotated[Compression | None, BeforeValidator(read_short("codec"))] = None
    """zstd, or none."""


class MedianPruning(Section):
    """Stops a trial whose best value so far is worse than the median of the others' at its step."""

    type: Literal["median"]
    """The kind of early termination."""
    startup_trials: Natural = 5
    """No trial is stopped before this many have finished."""
    warmup_steps: Natural = 0
    """No trial is stopped before this step."""
    interval_steps: Count = 1
    """Steps from one check to the next."""


class AshaPruning(Section):
    """Asynchronous successive halving: of those that reach a rung, the best part goes on.

    Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020.
    """

    type: Literal["asha"]
    """The kind of early termination."""
    min_resource: Count = 1
    """Steps until the first rung."""
    reduction_factor: Factor = 4
    """One trial of this many goes on from a rung, and has this many times the steps to the next."""
    min_early_stopping_rate: Natural = 0
    """How many of the lowest rungs are left out."""


def read_termination(given: Any) -> Any:
    if isinstance(given, str) and given in ("median", "asha"):
        raise wrong(f"must be a mapping: write {{type: {given}}}")
    if not isinstance(given, Mapping):
        return given
    kind = given.get("type")
    if kind == "hyperband":
        first, factor = given.get("min_iter", 1), given.get("eta", 3)
        asha = f"{{type: asha, min_resource: {first}, reduction_factor: {factor}}}"
        there_is = f"there is {asha}, which is close, and {{type: median}}"
        raise wrongs([Problem(("type",), f"hyperband is not supported; {there_is}")])
    if kind not in ("median", "asha"):
        mistake = "is required" if kind is None else f"{brief(kind)} is not supported"
        raise wrongs([Problem(("type",), f"{mistake}: there is median and asha")])
    return given


Termination = Annotated[
    Annotated[MedianPruning | AshaPruning, Field(discriminator="type")] | None,
    BeforeValidator(read_termination),
]
