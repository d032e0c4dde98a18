"""The studies of a store as a storage of Optuna's, kept up with their journals.

Whoever reads an Optuna storage (the dashboard, say) reads ours with it: what a driver commits is
there at the next look, and what nobody asks for is not read.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from sweep.errors import StoreError, SweepError, UsageError
from sweep.journal.journal import beginning_of, read_state
from sweep.journal.listing import newest_event, studies
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.search.optuna_read_only import ReadOnlyStorage
from sweep.search.optuna_trials import TrialsCopy
from sweep.spec import Goal, StudySpec

LOOK_S = 1.0
"""The store is looked at when something is asked, at most once in this time."""

_TRIALS = 10_000_000
"""More than any study has: the id of a trial is that of its study times this, plus its number."""

Found = TypeVar("Found")


class StudyCopy:
    """A study, which is read when its trials are asked for.

    Attributes:
        frozen: what Optuna shows of it without its trials.
        created: when the study began: another one of the same name began at another time.
        mark: what was seen of its journal at the last look.
    """

    def __init__(self, study_id: int, paths: StudyPaths, mark: tuple[int, int]) -> None:
        """Read how the study began.

        Raises:
            JournalError: that cannot be read.
        """
        beginning = beginning_of(paths.journal)
        if beginning is None:
            raise StoreError(f"{paths.root}: the study has not begun")
        event, self.created = beginning
        spec = StudySpec.accepted(event.spec)
        self.paths, self.mark = paths, mark
        self.frozen = FrozenStudy(
            study_name=paths.name,
            direction=None,
            directions=[
                StudyDirection.MAXIMIZE if each.goal is Goal.MAXIMIZE else StudyDirection.MINIMIZE
                for each in spec.objectives
            ],
            user_attrs={"path": str(paths.root)},
            system_attrs={"study:metric_names": [each.name for each in spec.objectives]},
            study_id=study_id,
        )
        self._trials = TrialsCopy(paths.journal, study_id * _TRIALS)
        self._lock = threading.Lock()

    @property
    def study_id(self) -> int:
        return int(self.frozen._study_id)

    @contextmanager
    def trials(self, notice: Callable[[str], None] | None = None) -> Iterator[TrialsCopy]:
        """The trials as the journal has them by now, for this thread alone.

        ``notice`` is told where it is damaged; the trials are those from before that then.

        Raises:
            JournalError, OSError: it is damaged, and there is no ``notice``.
        """
        with self._lock:
            try:
                self._trials.update()
            except (SweepError, OSError) as error:
                if notice is None:
                    raise
                notice(str(error))
            yield self._trials


class StoreCopy(ReadOnlyStorage):
    """All studies of a store for Optuna, as they are, to be read by any number of threads.

    A study that appears is there at the next look; one that is gone, or was made anew under its
    name, has an id that is not known any more. One whose journal is damaged is shown as far as it
    can be read.
    """

    def __init__(self, store: Path, notice: Callable[[str], None] = lambda line: None) -> None:
        """Of the studies in ``store``; ``notice`` is told, once, what of it cannot be read."""
        self._store = store
        self._tell = notice
        self._told: set[str] = set()
        self._studies: dict[str, StudyCopy] = {}
        self._last_id = 0
        self._looked = -LOOK_S
        self._lock = threading.RLock()

    def name_of(self, study_id: int) -> str | None:
        """The study with an id, or None where there is none."""
        return next((s.paths.name for s in self._now() if s.study_id == study_id), None)

    def paths_of(self, study_id: int) -> StudyPaths:
        """The study with an id.

        Raises:
            KeyError: there is none.
        """
        return self._study(study_id).paths

    def id_of(self, name: str) -> int | None:
        """The id of the study ``name``, or None where it cannot be read."""
        return next((study.study_id for study in self._now() if study.paths.name == name), None)

    def read(self, paths: StudyPaths, ask: Callable[[StudyState], Found]) -> Found:
        """What ``ask`` finds in the state of a study; no other thread changes it meanwhile.

        Raises:
            JournalError: it cannot be read, or not to its end.
        """
        for study in self._now():
            if study.paths == paths:
                with study.trials() as trials:
                    return ask(trials.state)
        return ask(read_state(paths.journal))

    def _notice(self, line: str) -> None:
        with self._lock:
            new = line not in self._told
            self._told.add(line)
        if new:
            self._tell(line)

    def _now(self) -> list[StudyCopy]:
        with self._lock:
            if time.monotonic() >= self._looked + LOOK_S:
                self._look()
                self._looked = time.monotonic()
            return list(self._studies.values())

    def _look(self) -> None:
        try:
            there = [paths for paths in studies(self._store) if paths.begun()]
        except (UsageError, OSError) as error:
            self._notice(str(error))
            there = []
        seen = {paths.name: self._seen(paths) for paths in there}
        self._studies = {name: study for name, study in seen.items() if study is not None}

    def _seen(self, paths: StudyPaths) -> StudyCopy | None:
        known = self._studies.get(paths.name)
        try:
            mark = newest_event(paths.journal), paths.journal.stat().st_mtime_ns
            if known is not None and mark != known.mark:
                known = self._same(known, mark)
            if known is None:
                known = StudyCopy(self._last_id + 1, paths, mark)
                self._last_id += 1
        except (SweepError, OSError) as error:
            self._notice(str(error))
        return known

    def _same(self, known: StudyCopy, mark: tuple[int, int]) -> StudyCopy | None:
        beginning = beginning_of(known.paths.journal)
        if beginning is None or beginning[1] != known.created:
            return None
        known.mark = mark
        return known

    def _study(self, study_id: int) -> StudyCopy:
        for study in self._now():
            if study.study_id == study_id:
                return study
        raise KeyError(f"no study has the id {study_id}")

    def get_all_studies(self) -> list[FrozenStudy]:
        return [study.frozen for study in self._now()]

    def get_study_id_from_name(self, study_name: str) -> int:
        found = self.id_of(study_name)
        if found is None:
            raise KeyError(f"no study {study_name!r}")
        return found

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._study(study_id).paths.name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return list(self._study(study_id).frozen.directions)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return dict(self._study(study_id).frozen.user_attrs)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return dict(self._study(study_id).frozen.system_attrs)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        study_id, number = divmod(trial_id, _TRIALS)
        with self._study(study_id).trials(self._notice) as trials:
            if number >= len(trials.frozen):
                raise KeyError(f"no trial has the id {trial_id}")
            return trials.frozen[number]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        with self._study(study_id).trials(self._notice) as trials:
            chosen = [each for each in trials.frozen if states is None or each.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """The incumbent; where no trial keeps the constraints, what is best regardless of them."""
        with self._study(study_id).trials(self._notice) as trials:
            best = trials.state.best
            if best is not None:
                return trials.frozen[best.number]
        return super().get_best_trial(study_id)
