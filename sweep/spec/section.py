"""The parts of a spec: the metric, and how trials are held, saved and stopped early."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from sweep.spec.field import (
    Amount,
    Bytes,
    Count,
    Natural,
    Positive,
    Seconds,
    Share,
    Size,
    Text,
    Truth,
    choice,
)
from sweep.spec.problem import Problem, Section, wrong, wrongs
from sweep.spec.suggestion import brief


class Goal(StrEnum):
    """Which values of the metric are better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Metric(Section):
    """The number that the study optimises."""

    name: Text
    """Its name in trial.report(...) or in what the trial returns."""
    goal: Annotated[Goal, BeforeValidator(choice(Goal))] = Goal.MINIMIZE
    """minimize (the default, as in W&B) or maximize."""


class Duplicates(StrEnum):
    """What is done about parameters that were tried before."""

    RERUN = "rerun"
    """They are executed again."""
    REUSE = "reuse"
    """Where a trial with them is complete, its result is taken over."""
    RESAMPLE = "resample"
    """The sampler is asked again."""


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


class Unsuccessful(StrEnum):
    """What a failed or pruned trial keeps."""

    NONE = "none"
    LAST = "last"


class Logs(Section):
    """What trials print, in a file each."""

    bytes: Annotated[Size, Field(ge=4096)] = 10_000_000
    """The most that is kept of a trial, such as 10MB: the first quarter, and the last."""


class WorkerSpec(Section):
    """When the process in which trials run is replaced, always between two trials."""

    trials: Count | None = None
    """After so many trials."""
    memory: Bytes | None = None
    """Once it has more than this between two trials, such as 4GB. Default: where it has grown by a
    quarter of its share of the machine's memory (256MiB at least) since its first trial."""


class Keep(Section):
    """Which checkpoints are kept. A trial that is not finished always keeps its newest."""

    last: Count = 1
    """The newest ones of a trial; it goes on from the newest that is whole."""
    best: Natural = 1
    """Those of a trial with the best value of the metric."""
    every_nth: Count | None = None
    """The first one at every n-th epoch of a trial, for ever."""
    incumbents: Count | None = None
    """Only the best n completed trials of the study keep any."""
    every_incumbent: Truth = False
    """Whether the checkpoint of each trial that ever was the best one is kept for good."""
    final: Truth = True
    """Whether the one at the end of a completed trial is kept."""
    unsuccessful: Annotated[Unsuccessful, BeforeValidator(choice(Unsuccessful))] = Unsuccessful.LAST
    """What a failed or pruned trial keeps: last (its newest) or none."""
    bytes: Size | None = None
    """What all of the study may take, such as 20GB; beyond that the least valuable go."""
    age: Seconds | None = None
    """Those older than this go, such as 7d; the best of the study stays."""


class On(Section):
    """Saves beside those of every."""

    improvement: bool | Text = False
    """Where a report is better than all before it: true for the study's metric, or a metric."""
    goal: Annotated[Goal, BeforeValidator(choice(Goal))] | None = None
    """minimize (the default) or maximize, for a metric that is not the study's."""
    end: bool = False
    """At the end of the trial; what is saved there is said by final."""

    @model_validator(mode="after")
    def _something(self) -> On:
        if self.goal is not None and not isinstance(self.improvement, str):
            raise wrongs([Problem(("goal",), _GOAL_OF_NOTHING)])
        if not self.improvement and not self.end:
            raise wrongs([Problem((), "needs improvement or end")])
        return self


_GOAL_OF_NOTHING = "belongs to a metric: write {improvement: val_loss, goal: minimize}"


class Final(StrEnum):
    """What is saved at the end of a trial."""

    FULL = "full"
    LIGHT = "light"
    NONE = "none"


class InFlight(StrEnum):
    """What a save that comes due does about the one in flight."""

    WAIT = "wait"
    REPLACE = "replace"


def read_on(given: Any) -> Any:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list):
        return given
    for name in names:
        if name not in ("improvement", "end"):
            metric = brief(name)
            raise wrong(
                f"must be improvement, end or a list of them, not {metric}; "
                "for another metric than the study's write {improvement: val_loss, goal: minimize}"
            )
    return dict.fromkeys(names, True)


def read_every(given: Any) -> Any:
    if given not in (None, "none") and not isinstance(given, Mapping | Every):
        raise wrong(f"must be none or a mapping such as {{epochs: 1}}, not {brief(given)}")
    if given == {}:
        raise wrong("needs epochs, steps or minutes")
    return given


Interval = Annotated[
    Annotated[
        Annotated[Every, Tag("every")] | Annotated[Literal["none"], Tag("none")],
        Discriminator(lambda given: "none" if given == "none" else "every"),
    ],
    BeforeValidator(read_every),
]


def read_names(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


Names = Annotated[tuple[Text, ...], BeforeValidator(read_names)]


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


class Packed(StrEnum):
    """Which files are compressed."""

    MIRROR = "mirror"
    BOTH = "both"


class Compression(Section):
    """How checkpoints are compressed: byte shuffling, then zstd."""

    codec: Literal["zstd"] = "zstd"
    """zstd is all there is."""
    level: Annotated[Count, Field(le=19)] = 3
    """From 1 (fast) to 19."""
    where: Annotated[Packed, BeforeValidator(choice(Packed))] = Packed.MIRROR
    """mirror (the default, since it is slower than a disk), or both: in the store, too."""


def read_short(key: str) -> Callable[[Any], Any]:
    """A validator that takes a text for a section in which only ``key`` is given; none is None."""

    def read(given: Any) -> Any:
        if given == "none":
            return None
        return {key: given} if isinstance(given, str) else given

    return read


class CheckpointSpec(Section):
    """When trials are saved, what of them, and what is kept."""

    every: Interval = Field(default_factory=lambda: Every(epochs=1))
    """How often a running trial is saved in full: epochs, steps or minutes; or none. The default is
    each epoch, or, with overhead, as often as that allows."""
    on: Annotated[On | None, BeforeValidator(read_on)] = None
    """What else it is saved on: improvement, end, or [improvement, end]."""
    overhead: Share | None = None
    """The most of the time that saves of every may take, such as 2%: none comes before their
    measured cost allows it."""
    components: Names = ()
    """Tracked objects that a save on improvement holds, such as [model]. All others are full."""
    exclude: Names = ()
    """Patterns of what no save holds, such as ["model.*.running_mean"]. A trial that goes on has
    fresh values there, so it does not go on to the bit."""
    final: Annotated[Final, BeforeValidator(choice(Final))] = Final.FULL
    """What is saved at the end: full, light (metrics and parameters only) or none."""
    in_flight: Annotated[InFlight, BeforeValidator(choice(InFlight))] = InFlight.WAIT
    """What a save does that comes due while one is being written: wait, or replace it. With
    deterministic: true it waits, and the training with it."""
    keep: Keep = Field(default_factory=Keep)
    """How many checkpoints of a trial are kept."""
    mirror: Annotated[Mirror | None, BeforeValidator(read_short("to"))] = None
    """A second place for the study, such as s3://bucket/prefix."""
    compression: Annotated[Compression | None, BeforeValidator(read_short("codec"))] = None
    """zstd, or none."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        if given == "none":
            return {"every": "none", "final": "none"}
        if isinstance(given, str):
            raise wrong(f"must be none or a mapping, not {brief(given)}")
        if isinstance(given, Mapping) and "overhead" in given and "every" not in given:
            return {**given, "every": "none"}
        return given

    @model_validator(mode="after")
    def _sensible(self) -> CheckpointSpec:
        problems = []
        improves = self.on is not None and self.on.improvement
        if self.components and not improves:
            message = (
                "says what a save on improvement holds, and there is none: add on: improvement "
                "(what a trial goes on from is always saved in full)"
            )
            problems.append(Problem(("components",), message))
        elif self.components and self.every == "none" and self.overhead is None:
            message = (
                "with every: none nothing would be saved that a killed trial can go on from: add "
                "every: {epochs: 1}, or remove components"
            )
            problems.append(Problem(("components",), message))
        if self.on is not None and self.on.end and self.final is Final.NONE:
            message = "is none, but on says end: write full or light, or remove end"
            problems.append(Problem(("final",), message))
        if "*" in self.exclude:
            message = "* leaves nothing to save: write checkpoint: none"
            problems.append(Problem(("exclude",), message))
        if problems:
            raise wrongs(problems)
        return self
