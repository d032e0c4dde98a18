"""How much each parameter matters to the objective, as Optuna computes it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweep.journal.event import TrialState as Ended
from sweep.journal.state import StudyState
from sweep.search.latent import from_journal
from sweep.search.storage import HistoryStorage, running_trial
from sweep.spec import Goal, StudySpec

LEAST = 10
"""Fewer completed trials say nothing."""

MOST, MOST_OF_SEVERAL = 10_000, 500
"""So many of the newest trials are looked at; of several objectives fewer, since it takes long."""


def importances_of(
    spec: StudySpec, state: StudyState, objective: int | None = None
) -> dict[str, float]:
    """`importances` of a study that has come to ``state``.

    Raises:
        ValueError: as there.
    """
    trials = state.trials.values()
    return importances(
        spec,
        {trial.number: trial.asked.latents for trial in trials if trial.searched},
        {
            trial.number: trial.values or [trial.value]
            for trial in trials
            if trial.state is Ended.COMPLETE and trial.value is not None
        },
        objective,
    )


def importances_by_objective(state: StudyState) -> list[dict[str, float]]:
    """Of each objective of a study the shares of its parameters; empty where they are not known."""
    spec = StudySpec.accepted(state.spec)
    found = []
    for objective in range(len(spec.objectives)):
        try:
            found.append(importances_of(spec, state, objective))
        except ValueError:
            found.append({})
    return found


def importances(
    spec: StudySpec,
    latents: Mapping[int, Mapping[str, Sequence[Any]]],
    values: Mapping[int, Sequence[float]],
    objective: int | None = None,
) -> dict[str, float]:
    """Shares that add up to 1, the greatest first (PED-ANOVA, arXiv 2304.10255).

    Of several objectives: how much a parameter matters for reaching the Pareto front; or, with
    ``objective``, for the one in that place of the spec.

    Args:
        latents: of each trial, by name the value and its range, as in `TrialAsked`.
        values: of each completed trial, those of the objectives.

    Raises:
        ValueError: they cannot be computed; the message says why.
    """
    if len(spec.objectives) == 1:
        objective = 0
    known = sorted(number for number in values if latents.get(number))
    if len(known) < LEAST:
        raise ValueError(f"{LEAST} completed trials are needed, and there are {len(known)}")
    most = MOST_OF_SEVERAL if objective is None else MOST
    aims = [each for at, each in enumerate(spec.objectives) if objective in (None, at)]
    storage = HistoryStorage(spec.name)
    storage.directions = [
        optuna.study.StudyDirection.MAXIMIZE
        if each.goal is Goal.MAXIMIZE
        else optuna.study.StudyDirection.MINIMIZE
        for each in aims
    ]
    for place, number in enumerate(known[-most:]):
        told = values[number] if objective is None else [values[number][objective]]
        storage.put(_frozen(place, latents[number], told))
    study = optuna.load_study(study_name=spec.name, storage=storage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of what the page says in words
        try:
            found = optuna.importance.get_param_importances(study)
        except Exception as error:
            raise ValueError(f"Optuna could not compute them: {error}") from error
    if not found:
        raise ValueError("no parameter is searched")
    return {name: float(share) for name, share in found.items()}


def _frozen(
    number: int, latents: Mapping[str, Sequence[Any]], values: Sequence[float]
) -> FrozenTrial:
    trial = running_trial(number, number)
    read = {name: from_journal(list(latent)) for name, latent in latents.items()}
    trial.state = TrialState.COMPLETE
    trial.values = list(values)
    trial.params = {
        name: distribution.to_external_repr(distribution.to_internal_repr(value))
        for name, (value, distribution) in read.items()
    }
    trial.distributions = {name: distribution for name, (_, distribution) in read.items()}
    trial.datetime_complete = trial.datetime_start
    return trial
