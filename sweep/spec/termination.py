"""Which trials are ended early: a pruner by name, with its options.

Options and defaults are those of Optuna's pruners, without the ``n_`` of its names; but a median of
one trial, or two, stops none (``min_trials``, as in Ray Tune).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from sweep.spec.field import Amount, Count, Factor, Natural, Number, Probability, choice
from sweep.spec.iteration import read_iterations
from sweep.spec.problem import Problem, Section, wrong, wrongs
from sweep.spec.suggestion import brief, did_you_mean, listed


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
    min_trials: Count = 3
    """No trial is stopped at a step that fewer finished trials have reported. (Optuna has 1.)"""


class PercentilePruning(Section):
    """As median, with another part of the others than their half."""

    type: Literal["percentile"]
    """The kind of early termination."""
    percentile: Annotated[float, Field(ge=0, le=100)]
    """Per cent of the trials that go on: 25 keeps the best quarter."""
    startup_trials: Natural = 5
    """No trial is stopped before this many have finished."""
    warmup_steps: Natural = 0
    """No trial is stopped before this step."""
    interval_steps: Count = 1
    """Steps from one check to the next."""
    min_trials: Count = 3
    """No trial is stopped at a step that fewer finished trials have reported. (Optuna has 1.)"""


class ThresholdPruning(Section):
    """Stops a trial whose value leaves a range, or is NaN."""

    type: Literal["threshold"]
    """The kind of early termination."""
    lower: Number | None = None
    """The least value that goes on."""
    upper: Number | None = None
    """The largest value that goes on."""
    warmup_steps: Natural = 0
    """No trial is stopped before this step."""
    interval_steps: Count = 1
    """Steps from one check to the next."""

    @model_validator(mode="after")
    def _a_range(self) -> ThresholdPruning:
        if self.lower is None and self.upper is None:
            raise wrongs([Problem((), "needs lower, upper or both")])
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            message = f"is above upper: {brief(self.lower)} and {brief(self.upper)}"
            raise wrongs([Problem(("lower",), message)])
        return self


class WilcoxonPruning(Section):
    """Stops a trial that a signed-rank test finds worse than the best one, step by step.

    For objectives that are means over steps, such as the folds of a cross-validation.
    """

    type: Literal["wilcoxon"]
    """The kind of early termination."""
    p_threshold: Probability = 0.1
    """A trial is stopped where the test's p-value is below this."""
    startup_steps: Natural = 2
    """No trial is stopped before this many steps can be compared."""


class PruningMode(StrEnum):
    """What becomes of a trial at a rung."""

    PAUSE = "pause"
    """It is paused, and goes on when it is among the best of those that have reached the rung."""
    STOP = "stop"
    """It is stopped for good where it is not among the best so far."""


Mode = Annotated[PruningMode, BeforeValidator(choice(PruningMode))]


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
    max_resource: Count | None = None
    """Steps of a whole trial: all rungs lie below. Default: there is a rung above each other."""
    mode: Mode = PruningMode.PAUSE
    """pause: a trial that does not go on is paused at its rung, gives its slot away, and may be
    promoted later, from its checkpoint. stop: it is stopped for good."""

    @model_validator(mode="after")
    def _consistent(self) -> AshaPruning:
        if self.max_resource is not None:
            if self.mode is PruningMode.STOP:
                raise wrongs([Problem(("max_resource",), "has no meaning with mode: stop")])
            first = self.min_resource * self.reduction_factor**self.min_early_stopping_rate
            if self.max_resource <= first:
                raise wrongs([_below(self.max_resource, first)])
        return self


class HyperbandPruning(Section):
    """Several brackets of asha, which begin at different rungs.

    Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, JMLR 2018.
    """

    type: Literal["hyperband"]
    """The kind of early termination."""
    min_resource: Count = 1
    """Steps until the first rung of the first bracket."""
    max_resource: Count | None = None
    """Steps of a whole trial: all rungs lie below. It may be left out where brackets is 1."""
    reduction_factor: Factor = 3
    """One trial of this many goes on from a rung, and has this many times the steps to the next."""
    brackets: Count | None = None
    """How many brackets there are, from the one with the most rungs. Default: as many as fit."""
    mode: Mode = PruningMode.PAUSE
    """As of asha: pause or stop."""

    @property
    def possible_brackets(self) -> int:
        """How many brackets fit below ``max_resource``; the last one has no rung."""
        count, rung = 1, self.min_resource * self.reduction_factor
        while self.max_resource is not None and rung <= self.max_resource:
            count, rung = count + 1, rung * self.reduction_factor
        return count

    @model_validator(mode="after")
    def _consistent(self) -> HyperbandPruning:
        if self.max_resource is None:
            if self.brackets != 1:
                message = "is required: the steps of a whole trial (only brackets: 1 goes without)"
                raise wrongs([Problem(("max_resource",), message)])
            return self
        if self.max_resource <= self.min_resource:
            raise wrongs([_below(self.max_resource, self.min_resource)])
        if self.brackets is not None and self.brackets > self.possible_brackets:
            message = f"at most {self.possible_brackets} fit, not {self.brackets}"
            raise wrongs([Problem(("brackets",), message)])
        if self.mode is PruningMode.STOP and self.brackets not in (None, 1, self.possible_brackets):
            message = f"must be 1 or {self.possible_brackets} with mode: stop"
            raise wrongs([Problem(("brackets",), message)])
        return self


def _below(top: int, first: int) -> Problem:
    return Problem(("max_resource",), f"must be above the first rung, which is at {first}: {top}")


def read_then(given: Any) -> Any:
    """After patience there is nothing to promote: a trial is stopped, or goes on."""
    if not isinstance(given, Mapping) or given.get("type") != "asha":
        return given
    if given.get("mode", PruningMode.STOP) != PruningMode.STOP:
        raise wrongs([Problem(("mode",), "must be stop after patience")])
    return {**given, "mode": PruningMode.STOP}


class PatientPruning(Section):
    """Stops a trial that does not get better any more."""

    foreign: ClassVar[Mapping[str, str]] = {
        "wrapped_pruner": "is called then here: what decides about a trial without progress",
    }

    type: Literal["patient"]
    """The kind of early termination."""
    patience: Natural
    """Steps without progress that a trial may have."""
    min_delta: Amount = 0.0
    """What counts as progress."""
    then: Annotated[
        Annotated[
            MedianPruning | PercentilePruning | ThresholdPruning | AshaPruning,
            Field(discriminator="type"),
        ]
        | None,
        BeforeValidator(read_then),
    ] = None
    """A pruner that decides about a trial without progress. Default: it is stopped."""


_KINDS: Mapping[str, type[Section]] = {
    "median": MedianPruning,
    "percentile": PercentilePruning,
    "threshold": ThresholdPruning,
    "wilcoxon": WilcoxonPruning,
    "asha": AshaPruning,
    "hyperband": HyperbandPruning,
    "patient": PatientPruning,
}


def read_termination(given: Any) -> Any:
    if isinstance(given, str) and given in _KINDS:
        raise wrong(f"must be a mapping: write {{type: {given}}}")
    if not isinstance(given, Mapping):
        return given
    kind = given.get("type")
    if kind is None:
        raise wrongs([Problem(("type",), f"is required: there is {listed(_KINDS)}")])
    if not isinstance(kind, str) or kind not in _KINDS:
        hint = did_you_mean(kind, _KINDS) if isinstance(kind, str) else f"there is {listed(_KINDS)}"
        raise wrongs([Problem(("type",), f"{brief(kind)} is not supported; {hint}")])
    return read_iterations(given) if kind in ("asha", "hyperband") else given


Termination = Annotated[
    Annotated[
        MedianPruning
        | PercentilePruning
        | ThresholdPruning
        | WilcoxonPruning
        | AshaPruning
        | HyperbandPruning
        | PatientPruning,
        Field(discriminator="type"),
    ]
    | None,
    BeforeValidator(read_termination),
]
