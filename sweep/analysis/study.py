"""A study as pandas tables."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sweep.analysis.fork import fork_trial
from sweep.analysis.frame import frame_of
from sweep.analysis.loading import Loaded
from sweep.analysis.selection import LATEST, find_trial, remark, select
from sweep.checkpoint.store import Checkpoint, CheckpointStore
from sweep.errors import CheckpointDamagedError, JournalError, StudyNotFoundError, UsageError
from sweep.journal.damage import foreign
from sweep.journal.journal import beginning_of, read_state
from sweep.journal.listing import newest_event, reading
from sweep.journal.lock import holder
from sweep.journal.reports import brought_up
from sweep.journal.segment import read_entries
from sweep.journal.state import Checkpoint as KnownCheckpoint
from sweep.journal.state import StudyState
from sweep.journal.table import TABLES, read_written
from sweep.paths import StudyPaths
from sweep.quantity import counted
from sweep.spec import StudySpec

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from sweep.search.optuna_study import OptunaStudy

_log = logging.getLogger("sweep")


class Study:
    """What a study's journal said when it was opened; `refresh` looks again.

    The columns are those that docs/tables.md describes. A study that is running, or whose driver
    was killed, reads like any other. What the driver has left as a table is read as that; else the
    journal is.
    """

    def __init__(self, root: str | Path) -> None:
        """Read the study in the directory ``root``.

        Raises:
            StudyNotFoundError: there is no study.
            StoreError: it cannot be read.
            JournalError: its journal is damaged.
        """
        self.paths = StudyPaths(Path(root).absolute())
        self._newest, self._began = self._look()

    @property
    def name(self) -> str:
        return self.paths.name

    @property
    def running(self) -> bool:
        """Whether a driver runs the study now; a trial that is RUNNING without one was interrupted.

        Always looked up anew. A driver on another machine is seen where the store is a file system
        that both share, with its locks.
        """
        return holder(self.paths.lock) is not None

    @property
    def spec(self) -> StudySpec:
        """The accepted spec."""
        with foreign(self.paths.journal):
            return StudySpec.accepted(self._state.spec)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial, by number."""
        return self._frame("trials")

    @cached_property
    def attempts(self) -> pd.DataFrame:
        """One row an execution of a trial: what it cost, how it ended, and what was lost of it."""
        return self._frame("attempts")

    @cached_property
    def reports(self) -> pd.DataFrame:
        """One row a trial and step."""
        return self._frame("reports")

    @cached_property
    def checkpoints(self) -> pd.DataFrame:
        """One row a checkpoint, retired ones too."""
        return self._frame("checkpoints")

    @cached_property
    def iterations(self) -> pd.DataFrame:
        """One row a result that was told to the sampler, with the incumbent after it."""
        return self._frame("iterations")

    @property
    def best(self) -> pd.Series | None:
        """The row of the incumbent, or None while no trial is complete (and keeps the constraints).

        Raises:
            UsageError: there are several objectives, so none is the best: see `pareto`.
        """
        self._check_single("study.pareto")
        best = self._state.best
        return None if best is None else self.trials.iloc[best.number]

    @property
    def pareto(self) -> pd.DataFrame:
        """The rows of the Pareto front, the best by the first objective first.

        Trials that exceed a constraint are not on it. With one objective it is that of the
        incumbent, if there is one.
        """
        return self.trials.iloc[[trial.number for trial in self._state.pareto]]

    @property
    def incumbents(self) -> pd.DataFrame:
        """The rows of `iterations` with which another trial became the best one.

        Raises:
            UsageError: there are several objectives, so none is the best: see `pareto`.
        """
        self._check_single("study.pareto, or the column front of study.iterations")
        best = self.iterations["best_trial"]
        return self.iterations[best.notna() & best.ne(best.shift()).fillna(True)]

    def curves(self, metric: str | None = None) -> pd.DataFrame:
        """The values of ``metric`` (by default the objective's, or the first one's): a row a trial
        that has reported it, by number, and a column a step. NaN where there was no report.

        Raises:
            UsageError: no trial has reported such a metric.
        """
        metric = self._state.objectives[0] if metric is None else metric
        column, reports = f"metrics.{metric}", self.reports
        if column not in reports:
            known = [str(name).removeprefix("metrics.") for name in reports.filter(like="metrics.")]
            there = f"reported are {', '.join(known)}" if known else "nothing is reported yet"
            raise UsageError(f"{self.name}: no trial has reported {metric!r}; {there}")
        made = reports[reports[column].notna()]
        return made.pivot_table(index="trial", columns="step", values=column, aggfunc="last")

    def compare(self, *trials: int) -> pd.DataFrame:
        """What trials have in common and what not: a row for each of their columns, a column for
        each trial, and ``differs``.

        Raises:
            StudyNotFoundError: the study has no such trial.
        """
        rows = [find_trial(self._state, self.name, trial).number for trial in trials]
        table = self.trials.set_index("number").loc[rows].astype(object).T
        table.columns.name = "trial"
        differs = [
            any(not _equal(value, row.iloc[0]) for value in row.iloc[1:])
            for _, row in table.iterrows()
        ]
        return table.assign(differs=differs)

    def load_checkpoint(
        self,
        checkpoint: str | None = None,
        *,
        trial: int | None = None,
        which: str | int = LATEST,
        components: str | Sequence[str] | None = None,
    ) -> Loaded:
        """The states that a trial tracked, by name, such as ``{"model": {...}, ...}``.

        ``load_checkpoint("15@10.220.final")``, or ``load_checkpoint(trial=15, which="best")``.
        Every byte that is read is verified. `Loaded.load_into` puts them into objects.

        Args:
            checkpoint: an id as the tables and ``sweep best`` give it.
            trial: the number of a trial, of which ``which`` chooses a checkpoint: ``"latest"``,
                ``"best"``, the step of a report, or an id. The best is the state that was measured
                best. Where no checkpoint was taken at a report, it is the nearest before the best
                one: ``note`` of what is returned, and a line in the log, say so.
            components: names, or patterns such as ``model.layers.*``; only what they need is read.

        Raises:
            StudyNotFoundError: the study has no such checkpoint, or does not keep it any more.
            UsageError: the checkpoint holds nothing that one of ``components`` names, or
                ``checkpoint`` is no text.
            CheckpointDamagedError: a file is missing or not as it was saved.
        """
        if (checkpoint is None) == (trial is None):
            raise UsageError('load_checkpoint: give an id, or trial=3 with which="best"')
        if checkpoint is not None:
            if not isinstance(checkpoint, str):
                raise UsageError(
                    f"load_checkpoint: {checkpoint!r} is no id; "
                    f"of a trial: load_checkpoint(trial={checkpoint!r})"
                )
            number = checkpoint.partition("@")[0]
            if not number.isdecimal():
                raise StudyNotFoundError(f"{self.name}: no checkpoint can be called {checkpoint!r}")
            trial, which = int(number), checkpoint
        components = [components] if isinstance(components, str) else components
        known, read = self._read_kept(int(trial or 0), which, components)
        loaded = Loaded(
            read,
            self._state.trials[known.trial].params,
            measured=known.record["measured"],
            note=remark(self._state, known, which),
        )
        if loaded.note is not None:
            _log.warning("%s: %s", self.name, loaded.note)
        self._check_components(loaded, components)
        return loaded

    def _read_kept(
        self, trial: int, which: str | int, components: Sequence[str] | None
    ) -> tuple[KnownCheckpoint, Checkpoint]:
        store = CheckpointStore(self.paths.checkpoints)
        while True:
            chosen = select(self._state, self.name, trial, which)
            manifest = chosen.record["manifest"]
            try:
                return chosen, store.read(manifest, components=components)
            except CheckpointDamagedError as error:
                self.refresh()
                kept = self._state.trials[trial].kept
                if any(known.record["manifest"] == manifest for known in kept):
                    raise CheckpointDamagedError(
                        f"{error}; `sweep verify {self.name} --repair` mends it from a mirror, or "
                        "keeps it aside, so that the next older one is the latest"
                    ) from error
                # A driver has retired it meanwhile: that is no damage.

    def _check_components(self, loaded: Loaded, components: Sequence[str] | None) -> None:
        for component in components or ():
            head = component.partition(".")[0]
            if not any(fnmatchcase(name, component) or fnmatchcase(name, head) for name in loaded):
                raise UsageError(
                    f"checkpoint {loaded.id} holds nothing called {component!r}; "
                    f"found: {', '.join(loaded) or 'nothing'}"
                )

    def fork(
        self, trial: int, at: str | int = LATEST, *, force: bool = False, **params: Any
    ) -> int:
        """Add a trial that goes on from a checkpoint of ``trial`` with other parameters.

        The next ``sweep resume`` runs it. Nothing but a manifest is written.

        Args:
            at: the checkpoint, as ``which`` of `load_checkpoint`.
            force: take values outside of the space; the sampler is not told of such a trial.
            params: the parameters that differ. (`sweep.analysis.fork.fork_trial` takes them as a
                mapping, for names that are no identifiers.)

        Returns:
            The number of the new trial.

        Raises:
            StudyLockedError: a driver runs the study; ``trial.fork`` works there.
            UsageError: unknown parameters, or values outside of their domains.
            StudyNotFoundError: no such trial or checkpoint.
        """
        plain = {name: _plain(value) for name, value in params.items()}
        made = fork_trial(self.paths, int(trial), plain, at=at, force=force)
        self.refresh()
        return made.trial

    def to_optuna(self) -> OptunaStudy:
        """All trials as a study of Optuna's in memory, for ``optuna.visualization`` and the like.

        `sweep.search.optuna_study.optuna_study` says what becomes of each part. It is a copy: what
        is done with it changes nothing here.
        """
        from sweep.search.optuna_study import optuna_study  # start-up: tables need no Optuna

        return optuna_study(self._state)

    def to_database(self, url: str, *, force: bool = False) -> tuple[Path, int]:
        """The same in a database of Optuna's, such as ``sqlite:///optuna.db``.

        Args:
            force: replace a study of that name there.

        Returns:
            The file, and how many trials were written.

        Raises:
            UsageError: another kind of database or file, or the study is there already.
            StoreError: the file cannot be read or written.
        """
        from sweep.search.optuna_database import OptunaDatabase

        database = OptunaDatabase.of(url)
        return database.path, database.write(self._state, self.name, force=force)

    def _check_single(self, instead: str) -> None:
        if self._state.several:
            count = len(self._state.objectives)
            raise UsageError(
                f"{self.name}: with {count} objectives no trial is the best one: use {instead}"
            )

    def refresh(self) -> None:
        """Look at the journal again."""
        self._newest, self._began = self._look()
        for name in ("_state", *TABLES):
            self.__dict__.pop(name, None)

    @cached_property
    def _state(self) -> StudyState:
        self._check_same()
        return read_state(self.paths.journal, until=self._newest)

    def _frame(self, name: str) -> pd.DataFrame:
        table = None if "_state" in self.__dict__ else self._written(name)
        with foreign(self.paths.journal):
            table = TABLES[name](self._state) if table is None else table
            return frame_of(table, self.spec if name == "trials" else None)

    def _written(self, name: str) -> pa.Table | None:
        """The table that the driver has left, where it is of the newest event or can be made so."""
        self._check_same()
        found = read_written(self.paths.tables, name)
        if found is None or found.newest > self._newest:
            return None
        if found.newest == self._newest:
            return found.table
        if name != "reports":  # only those are many, and follow from what came since alone
            return None
        since = read_entries(self.paths.journal, after=found.newest)
        return brought_up(found.table, takewhile(lambda each: each.seq <= self._newest, since))

    def __repr__(self) -> str:
        running = ", running" if self.running else ""
        return f"<Study {self.name}: {counted(len(self._state.trials), 'trial')}{running}>"

    def _check_same(self) -> None:
        """Raise `StudyNotFoundError` where the study that was opened is gone."""
        if self._look()[1] != self._began:
            raise StudyNotFoundError(
                f"{self.paths.root}: was begun anew since it was opened; refresh() reads that one"
            )

    def _look(self) -> tuple[int, float | None]:
        """The newest event that there is; and when the study began, if that can be read."""
        with reading(self.paths.root):
            newest = newest_event(self.paths.journal) if self.paths.exists() else -1
        if newest < 0:
            raise StudyNotFoundError(
                f"{self.paths.root}: no study; give its directory, such as runs/digits"
            )
        try:
            beginning = beginning_of(self.paths.journal)
        except JournalError:  # who reads more than the tables will be told
            return newest, None
        return newest, None if beginning is None else beginning[1]


def _plain(value: Any) -> Any:
    """What a cell of a table stands for: the journal knows no numbers of NumPy's."""
    return value.item() if isinstance(value, np.generic) else value


def _equal(one: Any, other: Any) -> bool:
    """Whether two cells are the same; what is missing is like what is missing."""
    import pandas as pd  # start-up: only tables need it

    missing = bool(pd.isna(one)), bool(pd.isna(other))
    return all(missing) if any(missing) else bool(one == other)


def open_study(path: str | Path) -> Study:
    """Open the study in the directory ``path``, such as ``runs/digits``.

    Raises:
        StudyNotFoundError: there is no study.
        StoreError: it cannot be read.
        JournalError: its journal is damaged.
    """
    return Study(path)
