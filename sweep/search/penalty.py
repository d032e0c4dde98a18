"""Failed trials as samplers see them: worse than everything that came to a result.

A sampler that is not told of failures learns nothing from them: it proposes the same again, and may
spend all of a study in a region where nothing can be measured.

What "worst" is follows from the results at hand, whenever the sampler is asked or told: of each
objective the worst finite value of the completed trials (of the pruned ones, where none is
complete), and by the smallest step beyond it, so that a failed trial ties with none. The same goes
for constraints, of which it keeps none. Before there is a result there is no worst: failed trials
are left out. All numbers are finite, as a Gaussian process and CMA-ES need them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.samplers import BaseSampler, TPESampler
from optuna.samplers._tpe.sampler import default_gamma, default_gamma_multiobjective
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


@dataclass(frozen=True, slots=True)
class Penalty:
    """What a failed trial is held for.

    Attributes:
        values: of each objective.
        constraints: how much it exceeds each of them, by its name in a trial's attributes.
        results: how many trials have come to a result.
    """

    values: list[float]
    constraints: dict[str, float]
    results: int

    @classmethod
    def of(
        cls, trials: Iterable[FrozenTrial], directions: Sequence[StudyDirection]
    ) -> Penalty | None:
        """Worse than ``trials``, as far as they have results; None where none has."""
        ended: dict[TrialState, list[FrozenTrial]] = {
            TrialState.COMPLETE: [],
            TrialState.PRUNED: [],
        }
        for trial in trials:
            values = trial.values or ()
            if trial.state in ended and values and all(map(math.isfinite, values)):
                ended[trial.state].append(trial)
        complete, pruned = ended.values()
        known = complete or pruned
        if not known:
            return None
        columns = zip(*(trial.values or () for trial in known), strict=True)
        return cls(
            values=[
                _beyond(max(column), math.inf)
                if direction is StudyDirection.MINIMIZE
                else _beyond(min(column), -math.inf)
                for column, direction in zip(columns, directions, strict=True)
            ],
            constraints=_exceeded(complete + pruned),
            results=len(complete) + len(pruned),
        )

    def imposed(self, trial: FrozenTrial, state: TrialState) -> FrozenTrial:
        """A failed ``trial`` as one that ended in ``state``, worse than all others.

        One that a user retries still runs, but has these values, too: a genetic sampler may have
        chosen it for a parent, which it knows by its id. Any other is as it is.
        """
        if trial.state not in (TrialState.FAIL, TrialState.RUNNING):
            return trial
        seen = copy.copy(trial)
        seen.state = state if trial.state is TrialState.FAIL else trial.state
        seen.values = self.values
        seen.system_attrs = {**trial.system_attrs, **self.constraints}
        if seen.state is TrialState.PRUNED:
            seen.intermediate_values = {}  # TPE ranks it by these, and one without comes last
        return seen


def seen_state(sampler: BaseSampler) -> TrialState:
    """How ``sampler`` is to see a failed trial, so that it comes after all results.

    TPE ranks the pruned ones after those that are complete. All others learn from these alone.
    """
    return TrialState.PRUNED if isinstance(sampler, TPESampler) else TrialState.COMPLETE


def spare(sampler: BaseSampler, results: int, objectives: int) -> None:
    """Have TPE take no failed trial for a good one: at most all that have come to a result.

    Its good ones are a tenth of all, and more may have failed than nine of ten.
    """
    if not isinstance(sampler, TPESampler):
        return
    default = default_gamma if objectives == 1 else default_gamma_multiobjective
    gamma = sampler._gamma or default
    sampler._gamma = lambda count: min(gamma(count), results)


def _exceeded(trials: Iterable[FrozenTrial]) -> dict[str, float]:
    worst: dict[str, Any] = {}
    for trial in trials:
        for name, value in trial.system_attrs.items():
            if name.startswith("constraints:") and math.isfinite(value):
                worst[name] = max(worst.get(name, 0.0), value)
    return {name: _beyond(value, math.inf) for name, value in worst.items()}


def _beyond(value: float, towards: float) -> float:
    """The next number after ``value``, while it is finite."""
    following = math.nextafter(value, towards)
    return following if math.isfinite(following) else value
