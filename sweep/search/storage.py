"""An Optuna storage that holds what the journal told it, and notes what Optuna writes.

Optuna's own in-memory storage cannot take a report back, which a resumed trial needs, nor say what
a sampler wrote. This one is a list of frozen trials that are replaced, never changed.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from sweep.search.persistent import PersistentList, Series

_STUDY_ID = 0


class HistoryStorage(BaseStorage):
    """One study; a trial's id is its number in the study.

    Trials of other studies have ids below 0. Optuna's own numbers count all of them, in the order
    in which they came to be known, since samplers take a greater number for a younger trial.

    Attributes:
        trials: the study's, by id.
        imported: those of other studies; the one at place n has the id -1 - n.
        study_attrs: what samplers keep with the study (a counter of QMC, say).
        user_attrs: what a sampler of the user's keeps there as a user's own.
        directions: of each objective, whether small or large values are better.
    """

    def __init__(self, name: str) -> None:
        self.directions = [StudyDirection.MINIMIZE]
        self.trials: PersistentList[FrozenTrial] = PersistentList()
        self.imported: list[FrozenTrial] = []
        self.study_attrs: dict[str, Any] = {}
        self.user_attrs: dict[str, Any] = {}
        self._name = name
        self._alone = False
        self._seen_as: Callable[[FrozenTrial], FrozenTrial] | None = None

    @property
    def name(self) -> str:
        """That of the study when it began."""
        return self._name

    def begun(self) -> FrozenTrial:
        """The next trial of the study, which is not added yet."""
        return running_trial(len(self.trials), self._count)

    def add_imported(self) -> int:
        """Make room for a trial of another study; its id."""
        self.imported.append(running_trial(-1 - len(self.imported), self._count))
        return -len(self.imported)

    @property
    def _count(self) -> int:
        return len(self.trials) + len(self.imported)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, there are no trials of other studies."""
        self._alone = True
        try:
            yield
        finally:
            self._alone = False

    @contextmanager
    def seen_as(self, seen: Callable[[FrozenTrial], FrozenTrial]) -> Iterator[None]:
        """Inside, whoever asks for all trials is given each as ``seen`` makes it."""
        self._seen_as = seen
        try:
            yield
        finally:
            self._seen_as = None

    def put(self, trial: FrozenTrial) -> None:
        """Add ``trial``, or replace the one of its id."""
        if trial._trial_id == len(self.trials):
            self.trials.append(trial)
        else:
            self._replace(trial)

    def _replace(self, trial: FrozenTrial) -> None:
        if trial._trial_id < 0:
            self.imported[-1 - trial._trial_id] = trial
        else:
            self.trials[trial._trial_id] = trial

    def remove(self, number: int) -> None:
        """Forget the newest trial (an ask that was dropped)."""
        if number == len(self.trials) - 1:
            self.trials.pop()

    @contextmanager
    def aside(self, number: int) -> Iterator[Callable[[], dict[str, dict[str, Any]]]]:
        """Let Optuna write on the study and on trial ``number``, which may be the next one.

        Yields what says which attributes it wrote, by part: ``trial`` and ``study``, and of those
        that are a user's own ``trial_user`` and ``study_user``. All is as before at the end: what
        was written is there once the journal has it, and as the journal gives it back.

        Raises (what is yielded):
            TypeError: JSON does not know an attribute.
        """
        before = self.trials[number] if number < len(self.trials) else self.begun()
        known, study, user = len(self.trials), self.study_attrs, self.user_attrs

        def wrote() -> dict[str, dict[str, Any]]:
            after = self.trials[number]
            parts = {
                "trial": _changed(before.system_attrs, after.system_attrs),
                "study": _changed(study, self.study_attrs),
                "trial_user": _changed(before.user_attrs, after.user_attrs),
                "study_user": _changed(user, self.user_attrs),
            }
            found = {part: values for part, values in parts.items() if values}
            try:
                plain: dict[str, dict[str, Any]] = json.loads(json.dumps(found)) if found else found
            except TypeError as error:
                raise TypeError(f"an attribute cannot be written down: {error}") from error
            return plain

        try:
            yield wrote
        finally:
            if number < known:
                self.trials[number] = before
            self.trials.truncate(known)
            self.study_attrs, self.user_attrs = study, user

    def write(self, number: int, wrote: dict[str, dict[str, Any]]) -> None:
        """Take over what `aside` has found, which the journal has by now."""
        trial = self.trials[number]
        if wrote:
            self.change(
                number,
                system_attrs=trial.system_attrs | wrote.get("trial", {}),
                user_attrs=trial.user_attrs | wrote.get("trial_user", {}),
            )
        self.study_attrs = self.study_attrs | wrote.get("study", {})
        self.user_attrs = self.user_attrs | wrote.get("study_user", {})

    def change(self, number: int, **values: Any) -> None:
        """Replace the trial with id ``number`` by one in which attributes have other values."""
        trial = copy.copy(self.get_trial(number))
        for name, value in values.items():
            setattr(trial, name, value)
        self._replace(trial)

    def constrain(self, number: int, violations: Mapping[str, float]) -> None:
        """Note of a trial how much it exceeds each constraint, as ``Trial.set_constraint`` does.

        All samplers find it there (`FrozenTrial.constraints`): they need no function of their own.
        """
        named = {f"constraints:{text}": violation for text, violation in violations.items()}
        self.change(number, system_attrs={**self.get_trial(number).system_attrs, **named})

    def snapshot(self) -> HistoryStorage:
        """A storage that stays as this one is now: what it holds is replaced, never changed."""
        twin = copy.copy(self)
        twin.trials, twin.imported = self.trials.snapshot(), list(self.imported)
        return twin

    @contextmanager
    def showing(self, trials: PersistentList[FrozenTrial]) -> Iterator[None]:
        """Hold ``trials`` instead of all, in the block; what is changed in them is forgotten."""
        everything, self.trials = self.trials, trials
        try:
            yield
        finally:
            self.trials = everything

    # What Optuna calls.

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        raise NotImplementedError("a history holds the one study that it was made for")

    def delete_study(self, study_id: int) -> None:
        raise NotImplementedError("a history cannot be deleted")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.user_attrs = {**self.user_attrs, key: value}

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.study_attrs = {**self.study_attrs, key: value}

    def get_study_id_from_name(self, study_name: str) -> int:
        return _STUDY_ID

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self.directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self.user_attrs

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self.study_attrs

    def get_all_studies(self) -> list[FrozenStudy]:
        return [
            FrozenStudy(
                study_name=self._name,
                direction=None,
                directions=self.directions,
                user_attrs=self.user_attrs,
                system_attrs=self.study_attrs,
                study_id=_STUDY_ID,
            )
        ]

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial = self.begun()
        self.put(trial)
        return trial._trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        trial = self.get_trial(trial_id)
        value = distribution.to_external_repr(param_value_internal)
        self.change(
            trial_id,
            params={**trial.params, param_name: value},
            distributions={**trial.distributions, param_name: distribution},
        )

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        changes: dict[str, Any] = {"state": state}
        if values is not None:
            changes["values"] = list(values)
        if state.is_finished():
            changes["datetime_complete"] = datetime.now(UTC)
        self.change(trial_id, **changes)
        return True

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        values = series(self.get_trial(trial_id)).having(step, intermediate_value)
        self.change(trial_id, intermediate_values=values)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.change(trial_id, user_attrs={**self.get_trial(trial_id).user_attrs, key: value})

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.change(trial_id, system_attrs={**self.get_trial(trial_id).system_attrs, key: value})

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self.trials[trial_id] if trial_id >= 0 else self.imported[-1 - trial_id]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        if states == (TrialState.WAITING,):
            return []  # asked before every trial; here none waits
        known: Iterable[FrozenTrial] = self.trials
        if self.imported and not self._alone:
            known = sorted([*self.imported, *self.trials], key=lambda trial: trial.number)
        chosen = [trial for trial in known if states is None or trial.state in states]
        if self._seen_as is not None:
            chosen = list(map(self._seen_as, chosen))
        return copy.deepcopy(chosen) if deepcopy else chosen


def running_trial(trial_id: int, number: int) -> FrozenTrial:
    """A trial that has begun and of which nothing is known yet."""
    return FrozenTrial(
        number=number,
        trial_id=trial_id,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(UTC),
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values=cast("dict[int, float]", Series()),
    )


def series(trial: FrozenTrial) -> Series:
    """What a trial of a `HistoryStorage` has reported."""
    return cast("Series", trial.intermediate_values)


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What of ``after`` is not so in ``before``."""
    return {
        name: value for name, value in after.items() if name not in before or before[name] != value
    }
