"""What a report is about: a study's tables, and what happened in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sweep.analysis.frame import frame_of
from sweep.errors import StudyNotFoundError
from sweep.journal.journal import read_state
from sweep.journal.listing import newest_event
from sweep.journal.lock import holder
from sweep.journal.table import TABLES, read_written
from sweep.paths import StudyPaths
from sweep.quantity import text
from sweep.report.chronicle import Chronicle, read_chronicle
from sweep.report.naming import shared_beginning
from sweep.report.scale import shortened
from sweep.spec import Goal, StudySpec

if TYPE_CHECKING:
    import pandas as pd

OBJECTIVES = 4
"""Of so many objectives there are importances each."""


@dataclass
class Subject:
    """A study as it was at one instant.

    Attributes:
        status: ``running``, or how the last driver ended.
    """

    paths: StudyPaths
    spec: StudySpec
    status: str
    chronicle: Chronicle
    trials: pd.DataFrame
    reports: pd.DataFrame
    checkpoints: pd.DataFrame

    @classmethod
    def read(cls, paths: StudyPaths) -> Subject:
        """The study in ``paths``, also while a driver runs it.

        Raises:
            StudyNotFoundError: it has not begun.
            JournalError: its journal is damaged.
        """
        running = holder(paths.lock) is not None
        newest = newest_event(paths.journal)
        if newest < 0:
            raise StudyNotFoundError(f"{paths.root}: the study has not begun; run its YAML again")
        chronicle = read_chronicle(paths.journal, newest)
        spec = StudySpec.accepted(chronicle.spec)
        frames = _frames(paths, newest, spec)
        chronicle.conclude(running=running)
        status = "running" if running else _status(spec, chronicle, frames["trials"])
        return cls(paths, spec, status, chronicle, *frames.values())

    @property
    def name(self) -> str:
        return self.spec.name

    @cached_property
    def searched(self) -> list[str]:
        """Names of the parameters that are searched and that any trial has.

        A function that suggests does not say which of its parameters are constants: there those
        that differ between trials.
        """
        columns = [name for name in self.trials.columns if name.startswith("params.")]
        values = {
            name.removeprefix("params."): set(map(repr, self.column(name))) - {"None"}
            for name in columns
        }
        if self.spec.space_function is not None:
            return [name for name, known in values.items() if len(known) > 1]
        return [name for name, known in self.spec.space.searched(values).items() if known]

    @cached_property
    def importances(self) -> dict[str, dict[str, float]] | str:
        """By what they matter for (each objective, and the front of several) the shares of the
        parameters, the greatest first; or why there are none."""
        from sweep.search.importance import importances  # start-up: Optuna, only where it is needed

        objectives = self.spec.objectives
        several = len(objectives) > 1
        wanted: dict[str, int | None] = {"the objective": 0}
        if several:
            wanted = {each.name: at for at, each in enumerate(objectives[:OBJECTIVES])}
            wanted["reaching the Pareto front"] = None
        known = self.chronicle
        try:
            return {
                what: importances(self.spec, known.latents, known.values, at)
                for what, at in wanted.items()
            }
        except ValueError as error:
            return str(error)

    @cached_property
    def ordered(self) -> list[str]:
        """`searched`, what matters most for the first objective first, where that is known."""
        found = self.importances
        shares = {} if isinstance(found, str) else next(iter(found.values()))
        return sorted(self.searched, key=lambda name: -shares.get(name, 0.0))

    def shared_note(self, names: Sequence[str]) -> str:
        """What labels of ``names`` lack, as a sentence behind others, where they lack something."""
        shared = shared_beginning(names)
        return f" All names begin with “{shared}”, which is left out." if shared else ""

    @cached_property
    def states(self) -> list[str]:
        """Of each trial, in lower case; nothing runs in a study that no driver runs."""
        stopped = self.status != "running"
        return [
            "interrupted" if stopped and state == "RUNNING" else str(state).lower()
            for state in self.trials["state"]
        ]

    def column(self, name: str) -> list[Any]:
        """A column of the trials as plain values; None where there is none."""
        if name not in self.trials:
            return [None] * len(self.trials)
        column = self.trials[name].astype(object)
        numeric = self.trials[name].dtype.kind == "f"
        missing = [False] * len(column) if numeric else list(column.isna())
        return [
            None if lacks else value for value, lacks in zip(column.tolist(), missing, strict=True)
        ]

    def values(self, objective: int) -> list[float]:
        """Of each trial, for the objective in that place of the spec; NaN where there is none."""
        several = len(self.spec.objectives) > 1
        name = f"values_{objective}" if several else "value"
        column = self.trials[name] if name in self.trials else [math.nan] * len(self.trials)
        return [float(value) for value in column]

    @cached_property
    def feasible(self) -> list[bool]:
        """Whether each trial keeps the constraints, as far as is known."""
        if "feasible" not in self.trials:
            return [True] * len(self.trials)
        return [bool(each) for each in self.trials["feasible"].fillna(True)]

    @cached_property
    def results(self) -> list[int]:
        """Places of the complete and pruned trials that have a value of the first objective."""
        return [
            place
            for place, value in enumerate(self._values)
            if math.isfinite(value) and self.states[place] in ("complete", "pruned")
        ]

    def loss(self, place: int) -> float:
        """For ordering: the smaller the better by the first objective; infinite where there is no
        value, or it does not count."""
        value = self._values[place]
        counts = self.states[place] == "complete" and self.feasible[place]
        if not math.isfinite(value) or not counts:
            return math.inf
        return -value if self.spec.objective.goal is Goal.MAXIMIZE else value

    @cached_property
    def _values(self) -> list[float]:
        return self.values(0)

    @cached_property
    def ranked(self) -> list[int]:
        """Places of the completed trials that keep the constraints, the best first."""
        places = [at for at in range(len(self.trials)) if self.loss(at) < math.inf]
        return sorted(places, key=self.loss)

    def tip(self, place: int) -> str:
        """What a pointer is told of a trial."""
        number = self.trials["number"].iloc[place]
        values = ", ".join(
            f"{each.name} {text(self._of(index)[place])}"
            for index, each in enumerate(self.spec.objectives)
        )
        params = "\n".join(
            f"{name} = {shortened(text(self._params[name][place]), 40)}"
            for name in self.ordered[:12]
            if self._params[name][place] is not None
        )
        return f"trial {number} ({self.states[place]})\n{values}\n{params}"

    def _of(self, index: int) -> list[float]:
        if index not in self._cache:
            self._cache[index] = self.values(index)
        return self._cache[index]

    @cached_property
    def _cache(self) -> dict[int, list[float]]:
        return {}

    @cached_property
    def _params(self) -> dict[str, list[Any]]:
        return {name: self.param(name) for name in self.searched}

    def param(self, name: str) -> list[Any]:
        """Of each trial, None where it has none."""
        return [
            None if isinstance(value, float) and math.isnan(value) else value
            for value in self.column(f"params.{name}")
        ]


def _frames(paths: StudyPaths, newest: int, spec: StudySpec) -> dict[str, pd.DataFrame]:
    names = ("trials", "reports", "checkpoints")
    written = [read_written(paths.tables, name) for name in names]
    found = [each.table for each in written if each is not None and each.newest == newest]
    if len(found) == len(names):
        tables = dict(zip(names, found, strict=True))
    else:
        state = read_state(paths.journal, until=newest)
        tables = {name: TABLES[name](state) for name in names}
    return {
        name: frame_of(table, spec if name == "trials" else None) for name, table in tables.items()
    }


def _status(spec: StudySpec, chronicle: Chronicle, trials: pd.DataFrame) -> str:
    """How a study stands that no driver runs."""
    session = chronicle.sessions[-1] if chronicle.sessions else None
    open_ = trials["state"].isin(["RUNNING", "PAUSED"]).any()
    if session is not None and session.reason is None:
        return "interrupted (killed)"
    return "interrupted" if open_ or session is None else str(session.reason)
