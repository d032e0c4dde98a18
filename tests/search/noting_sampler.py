"""Samplers such as users write: they learn from what they have noted themselves."""

from __future__ import annotations

from typing import Any

from optuna.samplers import RandomSampler


class Noting(RandomSampler):
    """Proposes what follows from notes of every kind: on the study, on trials, and of results."""

    def before_trial(self, study: Any, trial: Any) -> None:
        study.set_user_attr("asked", study.user_attrs.get("asked", 0) + 1)
        study._storage.set_trial_user_attr(trial._trial_id, "place", (trial.number, 1))

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        study.set_user_attr("told", study.user_attrs.get("told", 0) + 1)

    def sample_independent(self, study: Any, trial: Any, name: str, range_: Any) -> Any:
        places = [other.user_attrs.get("place", [0]) for other in study.get_trials(deepcopy=False)]
        notes = study.user_attrs["asked"] + 10 * study.user_attrs.get("told", 0)
        return (notes + sum(place[0] for place in places)) / 10_000


class Failing(RandomSampler):
    """Cannot propose the third trial."""

    def sample_independent(self, study: Any, trial: Any, name: str, range_: Any) -> Any:
        if trial.number == 2:
            raise RuntimeError("no idea\nany more")
        return super().sample_independent(study, trial, name, range_)
