"""A study as pandas tables."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.checkpoint.store import CheckpointStore
from sweep.errors import StudyNotFoundError
from sweep.journal.journal import read_state
from sweep.journal.state import StudyState
from sweep.journal.table import (
    checkpoints_table,
    iterations_table,
    reports_table,
    trials_table,
)
from sweep.paths import StudyPaths
from sweep.spec import StudySpec

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Study:
    """What a study's journal said when it was opened; `refresh` reads it again.

    The columns are those that `sweep.journal.table` describes. A study that is running, or whose
    driver was killed, reads like any other.
    """

    def __init__(self, root: str | Path) -> None:
        """Read the study in the directory ``root``.

        Raises:
            StudyNotFoundError: there is no study.
            JournalError: its journal is damaged.
        """
        self.paths = StudyPaths(Path(root).absolute())
        self._state = self._read()

    @property
    def name(self) -> str:
        return self.paths.name

    @property
    def spec(self) -> StudySpec:
        """The accepted spec."""
        return StudySpec.model_validate(self._state.spec)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial, by number."""
        return _frame(trials_table(self._state))

    @cached_property
    def reports(self) -> pd.DataFrame:
        """One row a trial and step."""
        return _frame(reports_table(self._state))

    @cached_property
    def checkpoints(self) -> pd.DataFrame:
        """One row a checkpoint, retired ones too."""
        return _frame(checkpoints_table(self._state))

    @cached_property
    def iterations(self) -> pd.DataFrame:
        """One row a result that was told to the sampler, with the incumbent after it."""
        return _frame(iterations_table(self._state))

    @property
    def best(self) -> pd.Series | None:
        """The row of the incumbent, or None while no trial is complete."""
        best = self._state.best
        return None if best is None else self.trials.iloc[best.number]

    def load_checkpoint(self, checkpoint: str) -> dict[str, Any]:
        """The states that a trial tracked, by name, such as ``{"model": {...}, ...}``.

        ``checkpoint`` is an id as the tables and ``sweep best`` give it, such as
        ``"15@10.220.final"``. Every byte is verified.

        Raises:
            StudyNotFoundError: the study has no such checkpoint, or does not keep it any more.
            CheckpointDamagedError: a file is missing or not as it was saved.
        """
        number = checkpoint.partition("@")[0]
        trial = self._state.trials.get(int(number)) if number.isdecimal() else None
        kept = {known.id: known for known in (trial.kept if trial is not None else [])}
        if checkpoint not in kept:
            there = ", ".join(kept) or "nothing"
            raise StudyNotFoundError(
                f"{self.name}: keeps no checkpoint {checkpoint!r}; of this trial it has {there}"
            )
        store = CheckpointStore(self.paths.checkpoints)
        tracked: dict[str, Any] = store.read(kept[checkpoint].record["manifest"]).tree["tracked"]
        return tracked

    def refresh(self) -> None:
        """Read the journal again."""
        self._state = self._read()
        for name in ("trials", "reports", "checkpoints", "iterations"):
            self.__dict__.pop(name, None)

    def __repr__(self) -> str:
        return f"<Study {self.name}: {len(self._state.trials)} trials>"

    def _read(self) -> StudyState:
        state = read_state(self.paths.journal) if self.paths.exists() else StudyState()
        if state.seq < 0:
            raise StudyNotFoundError(
                f"{self.paths.root}: no study; give its directory, such as runs/digits"
            )
        return state


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def open_study(path: str | Path) -> Study:
    """Open the study in the directory ``path``, such as ``runs/digits``.

    Raises:
        StudyNotFoundError: there is no study.
        JournalError: its journal is damaged.
    """
    return Study(path)
