"""Places, tables and databases that are not what they should be: a clear line each, or no harm."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import optuna
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Project

import sweep
from sweep.errors import JournalError, StoreError, StudyNotFoundError

COMMANDS = {
    "show": ["s"],
    "best": ["s"],
    "report": ["s"],
    "stop": ["s"],
    "replay": ["s"],
    "gc": ["s"],
    "verify": ["s"],
    "migrate": ["s"],
    "resume": ["s"],
    "fork": ["s/0"],
    "export": ["s", "--to", "trials.csv"],
}
LONG = "x" * 300


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a complete study, ``s``."""
    project = Project(tmp_path_factory.mktemp("done"))
    (project.root / "own.py").write_text("def train(trial):\n    trial.report(loss=1.0)\n")
    assert project.call("run", "--inline", project.spec("s", program="own:train")).returncode == 0
    return project


def line(project: Project, *arguments: str | Path) -> str:
    """The only line that a command says, which ends with 2 or 3."""
    ended = project.call(*arguments)
    assert ended.returncode in (2, 3), ended
    assert ended.stdout == ""
    assert ended.stderr.startswith("sweep: ")
    assert ended.stderr.count("\n") == 1
    return ended.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("store", "why"),
    [
        ("file", "file: is no directory; give another --store"),
        ("file/below", "no study 's'; there is none; give another --store?"),
        ("empty", "no study 's'; there is none; give another --store?"),
        ("nowhere", "no study 's'; there is none; give another --store?"),
        ("loop", "no study 's'; there is none; give another --store?"),
        (LONG, "cannot be read: File name too long"),
    ],
)
def test_what_is_no_store(project: Project, command: str, store: str, why: str) -> None:
    """Every command says so."""
    (project.root / "file").touch()
    (project.root / "empty").mkdir()
    (project.root / "loop").symlink_to("loop")
    assert why in line(project, command, *COMMANDS[command], "--store", store)


@pytest.mark.parametrize("name", ["file", ".", "", LONG, "s/journal", "runs/s/journal", "s/0/1"])
def test_what_is_no_study(done: Project, name: str) -> None:
    """A name that no study has, whatever else is there by that name."""
    (done.root / "file").touch()
    why = "cannot be read: File name too long" if name == LONG else "no study "
    for command in ("show", "best", "report", "stop", "replay", "gc", "verify", "migrate"):
        assert why in line(done, command, name)


@contextmanager
def closed(directory: Path) -> Iterator[None]:
    """Nobody may look into ``directory``: not we either, if we are root."""
    mode, user = directory.stat().st_mode, os.geteuid()
    directory.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        directory.chmod(mode)


def test_a_directory_that_may_not_be_read(done: Project) -> None:
    """A study or a store behind it is one line of the package's own, with the path."""
    with closed(done.store), pytest.raises(StoreError, match="runs: cannot be read: Permission"):
        sweep.open_store(done.store)
    with closed(done.store), pytest.raises(StoreError, match="runs/s: cannot be read: Permission"):
        sweep.open_study(done.store / "s")
    journal = done.store / "s" / "journal"
    with closed(journal), pytest.raises(StoreError, match="runs/s: cannot be read: Permission"):
        sweep.open_study(done.store / "s")
    with pytest.raises(StoreError, match="cannot be read: File name too long"):
        sweep.open_study(done.store / LONG)
    for path in (done.root / "own.py", done.root, done.root / "nowhere"):
        with pytest.raises(StudyNotFoundError, match="no study; give its directory"):
            sweep.open_study(path)


def _missing(path: Path) -> None:
    path.unlink()


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _changed(path: Path) -> None:
    """Change a byte with which the file is still read, as something else."""
    whole = path.read_bytes()
    for place in range(4, len(whole)):
        content = bytearray(whole)
        content[place] ^= 1
        with suppress(pa.ArrowException, OSError):
            if not pq.read_table(pa.BufferReader(content)).equals(pq.read_table(path)):
                path.write_bytes(content)
                return
    raise AssertionError("every change is noticed anyway")


def _foreign(path: Path) -> None:
    pq.write_table(pa.table({"bills": [1.0]}), path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _rewritten(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        table = pq.read_table(path)
        pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)

    return damage


DAMAGES: dict[str, Callable[[Path], None]] = {
    "missing": _missing,
    "torn": _torn,
    "changed": _changed,
    "foreign": _foreign,
    "a directory": _directory,
    "of a newer version": _rewritten(
        lambda table: table.append_column("mood", pa.array([1] * len(table)))
    ),
    "of an older version": _rewritten(lambda table: table.drop_columns(["time"])),
    "of other types": _rewritten(
        lambda table: table.set_column(0, table.schema.names[0], table[0].cast(pa.int32()))
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_table_that_is_not_as_written(done: Project, damage: str) -> None:
    """The journal is read instead, and nobody notices."""
    study = sweep.open_study(done.store / "s")
    expected = study.reports
    path = study.paths.tables / "reports.parquet"
    whole = path.read_bytes()
    try:
        DAMAGES[damage](path)
        pd.testing.assert_frame_equal(sweep.open_study(done.store / "s").reports, expected)
    finally:
        with suppress(OSError):
            path.rmdir()
        path.write_bytes(whole)


def test_a_journal_without_its_beginning(done: Project) -> None:
    """A segment that was removed is missed, by name, even where the tables are all there."""
    (segment,) = (done.store / "s" / "journal").glob("*.parquet")
    later = segment.rename(segment.with_name("00000003-00000017.parquet"))
    try:
        with pytest.raises(JournalError, match="a segment was removed or renamed; restore it"):
            sweep.open_study(done.store / "s")
        assert "event 0 should come next" in line(done, "show", "s")
    finally:
        later.rename(segment)


def database(path: Path, *studies: str, then: str = "") -> None:
    """A database of Optuna's with ``studies``, in which ``then`` is executed."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    for name in studies:
        optuna.create_study(study_name=name, storage=storage)
    storage.remove_session()
    storage.engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(then)
        connection.commit()


def test_databases_that_are_not_what_is_asked_for(project: Project) -> None:
    """Other kinds, other programs', other versions of Optuna's, and those without a choice."""
    root = project.root
    with closing(sqlite3.connect(root / "mlflow.db")) as connection:
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER, name TEXT)")
    (root / "text.db").write_text("no database\n" * 100)
    (root / "empty.db").touch()
    database(root / "none.db")
    database(root / "new.db", "a", then="UPDATE alembic_version SET version_num = 'v9.0.0'")
    database(root / "old.db", "a", then="UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    database(root / "two.db", "a", "b")
    (root / "torn.db").write_bytes((root / "two.db").read_bytes()[:9000])
    for url, why in {
        "postgresql://host/o": "must be an SQLite file, such as sqlite:///optuna.db",
        "mysql+pymysql://host/o": "must be an SQLite file, such as sqlite:///optuna.db",
        "sqlite://": "must be an SQLite file, such as sqlite:///optuna.db",
        "sqlite:///mlflow.db": "mlflow.db: is no database of Optuna's",
        "sqlite:///text.db": "text.db: is no SQLite database",
        "sqlite:///empty.db": "empty.db: is no database of Optuna's",
        "sqlite:///none.db": "none.db: has no study",
        "sqlite:///new.db": "new.db: The runtime optuna version",
        "sqlite:///old.db": "optuna storage upgrade",
        "sqlite:///two.db": "two.db: has several studies: give --study; there is: a, b",
        "sqlite:///torn.db": "torn.db: is no SQLite database",
        "sqlite:///own.py/x.db": "own.py/x.db: no such file",
        "sqlite:///.": ".: is no file",
        f"sqlite:///{LONG}": "cannot be read: File name too long",
    }.items():
        assert why in line(project, "import", url)
    assert not project.store.exists()


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("trials.PARQUET", "ends in .csv, .parquet, .xlsx, or to sqlite:///optuna.db"),
        (".csv", "ends in .csv, .parquet, .xlsx, or to sqlite:///optuna.db"),
        ("own.py/trials.csv", "own.py/trials.csv: cannot be written: "),
        ("sqlite:///own.py/o.db", "own.py/o.db: cannot be written: File exists"),
        ("sqlite:///.", ".: is no file"),
        (f"{LONG}.csv", "cannot be written: "),
    ],
)
def test_where_nothing_can_be_exported(done: Project, to: str, why: str) -> None:
    """The line names the place; nothing is left there."""
    before = sorted(done.root.iterdir())
    assert why in line(done, "export", "s", "--to", to)
    assert sorted(done.root.iterdir()) == before
