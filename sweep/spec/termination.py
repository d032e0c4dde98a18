"""Which trials are ended early: a pruner by name, with its options.

Options and defaults are those of Optuna's pruners, without the ``n_`` of its names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from sweep.spec.field import Amount, Count, Factor, Natural, Number, Probability
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
    min_trials: Count = 1
    """No trial is stopped at a step that fewer trials have reported."""


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
    min_trials: Count = 1
    """No trial is stopped at a step that fewer trials have reported."""


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
    then: MedianPruning | PercentilePruning | ThresholdPruning | AshaPruning | None = Field(
        default=None, discriminator="type"
    )
    """A pruner that decides about a trial without progress. Default: it is stopped."""


_KINDS: Mapping[str, type[Section]] = {
    "median": MedianPruning,
    "percentile": PercentilePruning,
    "threshold": ThresholdPruning,
    "wilcoxon": WilcoxonPruning,
    "asha": AshaPruning,
    "patient": PatientPruning,
}


def read_termination(given: Any) -> Any:
    if isinstance(given, str) and given in _KINDS:
        raise wrong(f"must be a mapping: write {{type: {given}}}")
    if not isinstance(given, Mapping):
        return given
    kind = given.get("type")
    if kind == "hyperband":
        first, factor = given.get("min_iter", 1), given.get("eta", 3)
        asha = f"{{type: asha, min_resource: {first}, reduction_factor: {factor}}}"
        there_is = f"there is {asha}, which is close, and {{type: median}}"
        raise wrongs([Problem(("type",), f"hyperband is not supported; {there_is}")])
    if kind is None:
        raise wrongs([Problem(("type",), f"is required: there is {listed(_KINDS)}")])
    if not isinstance(kind, str) or kind not in _KINDS:
        hint = did_you_mean(kind, _KINDS) if isinstance(kind, str) else f"there is {listed(_KINDS)}"
        raise wrongs([Problem(("type",), f"{brief(kind)} is not supported; {hint}")])
    return given


Termination = Annotated[
    Annotated[
        MedianPruning
        | PercentilePruning
        | ThresholdPruning
        | WilcoxonPruning
        | AshaPruning
        | PatientPruning,
        Field(discriminator="type"),
    ]
    | None,
    BeforeValidator(read_termination),
]
