"""A database of Optuna's, an SQLite file: studies are written to it, and read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import optuna
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages import RDBStorage

from sweep import fsio
from sweep.errors import StoreError, UsageError
from sweep.journal.state import StudyState
from sweep.search.optuna_study import OptunaStudy, optuna_study, quiet

SCHEME = "sqlite:///"

_TABLES = {"studies", "trials", "version_info"}
"""What every database of Optuna's has, among others."""


@dataclass(frozen=True, slots=True)
class OptunaDatabase:
    """The file ``path``. Nothing is written to a file that holds anything else than studies."""

    path: Path

    @classmethod
    def of(cls, url: str) -> OptunaDatabase:
        """That of ``sqlite:///optuna.db`` or ``sqlite:////a/path/optuna.db``.

        Raises:
            UsageError: it is another kind of database.
        """
        place = url.removeprefix(SCHEME)
        if place == url or not place or "?" in place or place == ":memory:":
            raise UsageError(f"{url}: must be an SQLite file, such as {SCHEME}optuna.db")
        return cls(Path(place))

    def write(self, state: StudyState, name: str, *, force: bool = False) -> int:
        """Add the study that has come to ``state``, as `optuna_study` has it; how many trials.

        Other studies in the file stay. The study is made under another name and gets its own when
        it is whole, in the transaction that takes out the one that had it: whoever looks, and
        whenever this process is killed, finds the one or the other.

        Args:
            force: replace a study of that name that is there.

        Raises:
            UsageError: there is one, or the file is something else.
            StoreError: the file cannot be read or written.
        """
        tables = self._tables() if self._is_there() else set()
        if tables and not tables >= _TABLES:
            raise UsageError(f"{self.path}: is a database, but none of Optuna's; it is left alone")
        try:
            fsio.make_directory(self.path.absolute().parent)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written: {error.strerror}") from error
        aside = f"{name} (being exported)"
        with self._open() as storage:
            if not force and name in optuna.get_all_study_names(storage):
                raise self._taken(name)
            _take_out(storage, aside)  # of an export that was killed
            try:
                count = len(optuna_study(state, name=aside, storage=storage).get_trials(False))
                _rename(storage, aside, name, force=force)
            except DuplicatedStudyError as error:
                raise self._taken(name) from error
            except BaseException:
                _take_out(storage, aside)
                raise
            return count

    def _taken(self, name: str) -> UsageError:
        return UsageError(f"{self.path}: has a study {name!r} already; --force replaces it")

    @contextmanager
    def read(self, name: str | None = None) -> Iterator[OptunaStudy]:
        """The study ``name``, by default the only one; for the block.

        Raises:
            UsageError: there is no such study, or several and none is named; or the file is not
                there, or something else.
            StoreError: the file cannot be read.
        """
        if not self._is_there():
            raise UsageError(f"{self.path}: no such file")
        if not self._tables() >= _TABLES:
            raise UsageError(f"{self.path}: is no database of Optuna's")
        with self._open() as storage:
            known = optuna.get_all_study_names(storage)
            if not known:
                raise UsageError(f"{self.path}: has no study")
            there = f"there is: {', '.join(known)}"
            if name is None and len(known) > 1:
                raise UsageError(f"{self.path}: has several studies: give --study; {there}")
            if name is not None and name not in known:
                raise UsageError(f"{self.path}: has no study {name!r}; {there}")
            yield optuna.load_study(
                study_name=name or known[0],
                storage=storage,
                sampler=optuna.samplers.RandomSampler(),
            )

    @contextmanager
    def _open(self) -> Iterator[RDBStorage]:
        from sqlalchemy.exc import SQLAlchemyError  # start-up: only databases need it

        try:
            with quiet():
                storage = RDBStorage(f"{SCHEME}{self.path}")
                try:
                    yield storage
                finally:
                    storage.remove_session()
                    storage.engine.dispose()
        except (StorageInternalError, SQLAlchemyError) as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise StoreError(f"{self.path}: cannot be read or written: {reason}") from error
        except RuntimeError as error:  # of tables that an older Optuna has made, or a newer one
            raise UsageError(f"{self.path}: {str(error).splitlines()[0]}") from error

    def _is_there(self) -> bool:
        try:
            there = self.path.exists()
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read: {error.strerror}") from error
        if there and not self.path.is_file():
            raise UsageError(f"{self.path}: is no file")
        return there

    def _tables(self) -> set[str]:
        url = f"file:{quote(str(self.path.absolute()))}?mode=ro"
        try:
            with closing(sqlite3.connect(url, uri=True)) as connection:
                rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                return {name for (name,) in rows}
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self.path}: cannot be read: {error}") from error
        except sqlite3.DatabaseError as error:
            raise UsageError(f"{self.path}: is no SQLite database") from error


def _take_out(storage: RDBStorage, name: str) -> None:
    if name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)


def _rename(storage: RDBStorage, old: str, new: str, *, force: bool) -> None:
    """Rename a study, in one transaction; with ``force`` in the place of the one called ``new``.

    Raises:
        DuplicatedStudyError: without ``force``, where there is one.
    """
    from optuna.storages._rdb.models import StudyModel  # no public call does both at once

    storage.remove_session()
    with storage.scoped_session.begin():
        session = storage.scoped_session()
        there = StudyModel.find_by_name(new, session)
        if there is not None:
            if not force:
                raise DuplicatedStudyError
            session.delete(there)
            session.flush()
        StudyModel.find_or_raise_by_name(old, session).study_name = new
