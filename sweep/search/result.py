"""What a trial has come to: the values of its objectives, and how it stands to the constraints."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sweep.journal.event import Cause
from sweep.journal.state import Trial
from sweep.spec import Constraint, Failing, Goal, StudySpec


def measured(trial: Trial, metric: str, returned: Mapping[str, float]) -> float | None:
    """What the function returned as ``metric``, else what the trial reported last."""
    if metric in returned:
        return returned[metric]
    for step in sorted(trial.reports, reverse=True):
        if metric in trial.reports[step].metrics:
            return trial.reports[step].metrics[metric]
    return None


def values_of(
    spec: StudySpec, trial: Trial, returned: Mapping[str, float]
) -> dict[str, float | None]:
    """The value of each objective by its name, in the order of the spec; None: never reported."""
    return {each.name: measured(trial, each.name, returned) for each in spec.objectives}


def violations_of(
    spec: StudySpec, trial: Trial, returned: Mapping[str, float]
) -> dict[str, float | None]:
    """How much each constraint is exceeded, by its text; None: its metric was never reported."""
    return {
        text: _violation(spec, bound, trial, returned)
        for text, bound in zip(spec.constraints, spec.bounds, strict=True)
    }


def _violation(
    spec: StudySpec, bound: Constraint, trial: Trial, returned: Mapping[str, float]
) -> float | None:
    if bound.name in trial.params:
        given = trial.params[bound.name]
        # A fork that was forced out of the space may have anything there.
        value = float(given) if isinstance(given, int | float) else None
    elif bound.name in spec.parameters:
        return 0.0  # a parameter that has no meaning in this trial exceeds nothing
    else:
        value = measured(trial, bound.name, returned)
    return None if value is None else bound.violation(value)


def infinite_win(spec: StudySpec, values: Mapping[str, float | None]) -> str | None:
    """Why ``values`` of `values_of` are no result, if one is an infinity that nothing could beat.

    It comes from a division by zero or an overflow, and would be the best for ever.
    """
    for each in spec.objectives:
        value = values[each.name]
        if value == (math.inf if each.goal is Goal.MAXIMIZE else -math.inf):
            return f"{each.name} is {value}, which no result could beat (goal: {each.goal})"
    return None


def told_as_worst(spec: StudySpec, cause: Cause | None) -> bool:
    """Whether the sampler is told of a trial that failed of ``cause``."""
    match cause:
        case Cause.NAN:
            return spec.on_nan is Failing.WORST
        case Cause.EXCEPTION | Cause.UNREPORTED:
            return spec.on_failure is Failing.WORST
        case _:
            return False


def known(found: Mapping[str, float | None]) -> tuple[float, ...]:
    """The numbers of `values_of` or `violations_of`; none at all where one is missing or NaN."""
    numbers = tuple(
        value for value in found.values() if value is not None and not math.isnan(value)
    )
    return numbers if len(numbers) == len(found) else ()
