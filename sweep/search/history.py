"""What another study has found, as history for the sampler of this one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sweep.errors import UsageError
from sweep.journal.event import HistoryAdded, TrialState
from sweep.journal.state import StudyState, Trial
from sweep.search.define import DefinedSpace
from sweep.search.fitting import fitted
from sweep.search.result import infinite_win, violations_of
from sweep.spec import Space, StudySpec
from sweep.spec.suggestion import listed


def history_of(
    source: str, other: StudyState, spec: StudySpec, space: Space | DefinedSpace
) -> HistoryAdded:
    """The finished trials of ``other`` that fit the ``space`` of ``spec``; failed ones taught
    nothing.

    Args:
        source: what the spec calls the other study.

    Raises:
        UsageError: they do not optimise the same, or have no parameter in common.
        ProgramError: a space function raised.
    """
    _check(source, StudySpec.accepted(other.spec), other, spec)
    trials: list[dict[str, Any]] = []
    left_out: list[list[Any]] = []
    for trial in other.trials.values():
        if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED) or trial.value is None:
            continue
        try:
            trials.append(_taken(trial, spec, space))
        except ValueError as error:
            left_out.append([trial.number, str(error)])
    return HistoryAdded(source=source, trials=trials, left_out=left_out)


def _taken(trial: Trial, spec: StudySpec, space: Space | DefinedSpace) -> dict[str, Any]:
    """A trial of another study as `HistoryAdded` has it.

    Raises:
        ValueError: it does not fit.
    """
    named = dict(zip((each.name for each in spec.objectives), _values(trial), strict=True))
    infinite = infinite_win(spec, named)
    if infinite is not None:
        raise ValueError(infinite)
    latents = fitted(space, trial.params, spec.defaults)
    defaults = {name: value for name, value in spec.defaults.items() if name in latents}
    filled = replace(trial, asked=replace(trial.asked, params=defaults | trial.params))
    violations = violations_of(spec, filled, trial.metrics)
    for constraint, violation in violations.items():
        if violation is None:
            raise ValueError(f"{constraint}: was not measured")
    valued = [step for step in trial.reports if trial.reports[step].value is not None]
    step = max(valued, default=None)
    return {
        "number": trial.number,
        "state": str(trial.state),
        "params": trial.params,
        "latents": latents,
        "values": _values(trial),
        "violations": violations,
        "report": None if step is None else [step, trial.reports[step].value],
    }


def _values(trial: Trial) -> list[float | None]:
    return [*trial.values] if trial.values else [trial.value]


def _check(source: str, theirs: StudySpec, other: StudyState, spec: StudySpec) -> None:
    place = f"{spec.name}: warm_start: {source}"
    if theirs.objectives != spec.objectives:
        raise UsageError(
            f"{place}: its trials {_aim(theirs)}, these {_aim(spec)}: their values cannot be "
            "compared"
        )
    here = {each.name for each in spec.space.dimensions}
    there = {name for trial in other.trials.values() for name in trial.params}
    there |= {each.name for each in theirs.space.dimensions}
    if spec.space_function is None and not here & there:
        raise UsageError(
            f"{place}: has none of this study's parameters ({listed(sorted(here))}): "
            f"it has {listed(sorted(there)) if there else 'none'}"
        )


def _aim(spec: StudySpec) -> str:
    """``minimize loss and maximize accuracy``."""
    return listed(f"{each.goal} {each.name}" for each in spec.objectives)
