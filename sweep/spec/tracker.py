"""Trackers: where else a study is shown, beside its own tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, model_serializer, model_validator

from sweep.spec.field import Text, choice
from sweep.spec.problem import Problem, Section, wrong, wrongs
from sweep.spec.suggestion import brief, listed


class TensorBoard(Section):
    """Event files for TensorBoard: a directory a trial."""

    directory: Text | None = None
    """Where the study gets a folder of its name. Default: tensorboard, in the study itself."""


class Mlflow(Section):
    """Runs of MLflow: one a trial, in one experiment."""

    uri: Text | None = None
    """The tracking server, such as http://127.0.0.1:5000. Default: MLFLOW_TRACKING_URI."""
    experiment: Text | None = None
    """The experiment that the trials are runs of. Default: the study's name."""


class WandbMode(StrEnum):
    """Whether runs are sent to W&B, or left as files to send."""

    OFFLINE = "offline"
    ONLINE = "online"


class Wandb(Section):
    """Runs of W&B: one a trial, in the study's group."""

    project: Text | None = None
    """Default: WANDB_PROJECT, or the study's name."""
    entity: Text | None = None
    """The user or team whose project it is. Default: WANDB_ENTITY, or that of the login."""
    mode: Annotated[WandbMode, BeforeValidator(choice(WandbMode))] = WandbMode.OFFLINE
    """offline: files for `wandb sync`, in the study's folder wandb; online: those are synced."""


class TrackerKind(StrEnum):
    """The trackers that there are."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


Options = TensorBoard | Mlflow | Wandb


class Tracker(Section):
    """One tracker by its name, which its options, if any, stand under."""

    tensorboard: TensorBoard | None = None
    """Event files for TensorBoard: a directory a trial."""
    mlflow: Mlflow | None = None
    """Runs of MLflow: one a trial, in one experiment."""
    wandb: Wandb | None = None
    """Runs of W&B: one a trial, in the study's group."""

    @property
    def name(self) -> str:
        """``tensorboard``, ``mlflow`` or ``wandb``."""
        return next(name for name in KINDS if getattr(self, name) is not None)

    @property
    def options(self) -> Options:
        options: Options = getattr(self, self.name)
        return options

    @property
    def short(self) -> Any:
        """As one writes it: the name alone where nothing else is said."""
        written = self.options.model_dump(mode="json", exclude_defaults=True)
        return {self.name: written} if written else self.name

    @model_validator(mode="before")
    @classmethod
    def _written(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {choice(TrackerKind)(given).value: {}}
        if isinstance(given, Mapping):  # `- mlflow:` has no options
            return {key: {} if value is None else value for key, value in given.items()}
        return given

    @model_validator(mode="after")
    def _one(self) -> Tracker:
        named = [name for name in KINDS if getattr(self, name) is not None]
        if not named:
            raise wrongs([Problem((), f"needs {listed(KINDS, 'or')}")])
        if len(named) > 1:
            raise wrongs([Problem((named[1],), "is another tracker: write - before each")])
        return self

    @model_serializer
    def _dumped(self) -> dict[str, Any]:
        return {self.name: self.options.model_dump(mode="json", exclude_defaults=True)}


KINDS = tuple(kind.value for kind in TrackerKind)


def read_trackers(given: Any) -> Any:
    """A single tracker may stand without the list around it."""
    if isinstance(given, str | Mapping | Tracker):
        return [given]
    if given is not None and (not isinstance(given, Sequence)):
        example = "[tensorboard, {mlflow: {uri: ...}}]"
        raise wrong(f"must be a list such as {example}, not {brief(given)}")
    return given


Trackers = Annotated[tuple[Tracker, ...], BeforeValidator(read_trackers)]


def twice_named(trackers: Sequence[Tracker]) -> list[Problem]:
    """Each tracker is kept up by its name, so there can be one of each."""
    names = [tracker.name for tracker in trackers]
    return [
        Problem(("trackers", position), f"{name} stands there twice: keep one")
        for position, name in enumerate(names)
        if name in names[:position]
    ]
