"""MLflow's database in a file: a kill while it is made leaves nothing that is in the way."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from sweep.integration.database import QUIET_S, ensure, half_made

pytest.importorskip("mlflow")

MAKE = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sweep.integration import mlflow_run

written = 0
def killed(connection, cursor, statement, *rest):
    global written
    words = ("CREATE", "ALTER", "INSERT", "UPDATE", "DROP")
    written += statement.lstrip().upper().startswith(words)
    if 0 < written == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "before_cursor_execute", killed)
mlflow_run.make_store(sys.argv[1])
from mlflow.tracking import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
client.create_run(client.create_experiment("e"))
"""
"""Makes and uses a store, and dies before the statement of a given number that writes."""
STATEMENTS = 430
"""So many are less than MLflow needs to make one."""


def make(path: Path, killed_at: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAKE, f"sqlite:///{path}", str(killed_at)],
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )


def killed_and_made(path: Path, at: int) -> None:
    assert make(path, at).returncode == -signal.SIGKILL
    assert not path.exists()
    done = make(path)
    assert done.returncode == 0, done.stderr
    assert [each.name for each in path.parent.iterdir() if "mlflow.db" in each.name] == [path.name]


def test_a_kill_in_the_middle_leaves_no_database(tmp_path: Path) -> None:
    """Killed between two migrations, which MLflow never gets over, the next try makes it whole."""
    killed_and_made(tmp_path / "mlflow.db", 30)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_kills_at_any_statement(tmp_path: Path) -> None:
    """Ten kills at any statement of the making: no file is there, and the next try makes it."""
    chooser = random.Random(36)
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        killed_and_made(tmp_path / str(number) / "mlflow.db", chooser.randint(1, STATEMENTS))


def make_tables(path: Path, *, rows: bool = False) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE runs (id TEXT)")
        if rows:
            database.execute("INSERT INTO runs VALUES ('1')")
        database.commit()


def test_what_was_left_half_made_is_moved_aside(tmp_path: Path) -> None:
    """An older one without a row is kept under another name; a young one is waited for."""
    path = tmp_path / "mlflow.db"
    make_tables(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE alembic_version (version TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('89d4b8295536')")
        database.commit()
    assert half_made(path)
    with pytest.raises(OSError, match="the database is not finished"):
        ensure(path, lambda target: make_tables(target, rows=True))
    os.utime(path, (0, time.time() - QUIET_S - 1))
    ensure(path, lambda target: make_tables(target, rows=True))
    assert not half_made(path)
    assert half_made(tmp_path / "mlflow.db.half-made-1")


@pytest.mark.parametrize("foreign", ["rows", "text"])
def test_what_holds_anything_is_left_alone(tmp_path: Path, foreign: str) -> None:
    """A database with a row, or a file that is none, is nobody's to move."""
    path = tmp_path / "mlflow.db"
    if foreign == "rows":
        make_tables(path, rows=True)
    else:
        path.write_text("something else")
    os.utime(path, (0, 0))
    before = path.read_bytes()

    def never(target: Path) -> None:
        raise AssertionError

    ensure(path, never)
    assert path.read_bytes() == before


def test_another_process_may_be_first(tmp_path: Path) -> None:
    """Where one appears while this one is made, that one stays."""
    path = tmp_path / "mlflow.db"

    def late(target: Path) -> None:
        make_tables(target, rows=True)
        path.write_text("theirs")

    ensure(path, late)
    assert path.read_text() == "theirs"
    assert [each.name for each in tmp_path.iterdir()] == ["mlflow.db"]
