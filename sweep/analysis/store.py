"""All studies of a store: their tables under each other, to compare them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.analysis.study import Study
from sweep.errors import JournalError, StudyNotFoundError
from sweep.journal.listing import studies

if TYPE_CHECKING:
    import pandas as pd


class Store:
    """The studies in a directory, by name. Each is opened when it is asked for.

    The tables leave out a study whose journal is damaged, with a warning that names it; where all
    are they raise the `JournalError` of the first.
    """

    def __init__(self, root: str | Path) -> None:
        """Look at ``root``, such as ``runs``.

        Raises:
            StudyNotFoundError: there is no such directory, or no study in it.
            UsageError: it is a file.
        """
        self.root = Path(root).absolute()
        self._paths = {paths.name: paths for paths in studies(self.root) if paths.begun()}
        self._opened: dict[str, Study] = {}
        if not self._paths:
            raise StudyNotFoundError(
                f"{self.root}: no studies; give the directory that holds them, such as runs"
            )

    @property
    def names(self) -> list[str]:
        return list(self._paths)

    def __getitem__(self, name: str) -> Study:
        """The study ``name``.

        Raises:
            StudyNotFoundError: there is none; says what there is.
            JournalError: its journal is damaged.
        """
        if name not in self._paths:
            there = ", ".join(self._paths)
            raise StudyNotFoundError(f"{self.root}: no study {name!r}; there is: {there}")
        if name not in self._opened:
            self._opened[name] = Study(self._paths[name].root)
        return self._opened[name]

    def __iter__(self) -> Iterator[Study]:
        """All studies, by name."""
        return (self[name] for name in self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        return f"<Store {self.root}: {', '.join(self._paths)}>"

    @property
    def trials(self) -> pd.DataFrame:
        """The trials of all studies under each other, with the study's name in front."""
        return self._all("trials")

    @property
    def attempts(self) -> pd.DataFrame:
        """The attempts of all studies likewise."""
        return self._all("attempts")

    @property
    def reports(self) -> pd.DataFrame:
        """The reports of all studies likewise."""
        return self._all("reports")

    @property
    def checkpoints(self) -> pd.DataFrame:
        """The checkpoints of all studies likewise."""
        return self._all("checkpoints")

    @property
    def iterations(self) -> pd.DataFrame:
        """The iterations of all studies likewise."""
        return self._all("iterations")

    def _all(self, name: str) -> pd.DataFrame:
        """The table ``name`` of all studies; one that is damaged is warned of and left out."""
        import pandas as pd  # start-up: only tables need it

        frames, damaged = {}, []
        for known in self._paths:
            try:
                frames[known] = getattr(self[known], name)
            except JournalError as error:
                damaged.append(error)
                warnings.warn(f"left out: {error}", stacklevel=3)
        if not frames:
            raise damaged[0]
        joined: pd.DataFrame = pd.concat(frames, names=["study"]).reset_index(level="study")
        return joined.reset_index(drop=True)


def open_store(path: str | Path) -> Store:
    """Open the store in the directory ``path``, such as ``runs``.

    Raises:
        StudyNotFoundError, UsageError: there is no study.
    """
    return Store(path)
