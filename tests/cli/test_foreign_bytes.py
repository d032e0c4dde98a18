"""Files of a study that hold anything at all: its damage in a line, and no harm to any other study.

Each round changes one file as a disk or a user might, and asks every reader. `SWEEP_FUZZ_S` is how
many seconds each kind of file gets in the long test, ten minutes if nothing is said.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Project

import sweep
from sweep.driver.collection import read_answer
from sweep.driver.glance import glance
from sweep.driver.mirroring import Lag, read_lag, write_lag
from sweep.errors import SweepError
from sweep.integration.note import Note, read_note, write_note
from sweep.journal.journal import read_state
from sweep.journal.segment import SCHEMA, read_entries
from sweep.journal.survey import survey
from sweep.paths import StudyPaths
from sweep.spec import StudySpec

PROGRAM = """
def train(trial):
    for epoch in trial.epochs(3):
        trial.state["epoch"] = epoch
        trial.report(loss=trial.params.x / (epoch + 1), size=float(epoch))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two complete studies, ``bad`` and ``sound``."""
    project = Project(tmp_path_factory.mktemp("foreign"))
    (project.root / "own.py").write_text(PROGRAM)
    for name in ("bad", "sound"):
        spec = project.spec(name, program="own:train", trials=4)
        assert project.call("run", "--inline", spec).returncode == 0
    paths = StudyPaths.of(project.store, "bad")
    write_note(paths, Note(name="mlflow", to="somewhere", seq=3, points=7, reason="no", since=1e9))
    write_lag(paths, Lag(to="/mirror", seq=5, checkpoints=2, bytes=10, reason="no", since=1e9))
    answer = {"request": "a", "retired": [], "garbage": [], "files": 1, "bytes": 2, "failed": []}
    paths.gc_answer.write_text(json.dumps(answer))
    for old in ("segment", "trials", "reports"):  # as an older sweep has written them
        _write_unsealed(paths, old)
    return project


def _write_unsealed(paths: StudyPaths, kind: str) -> None:
    """Keep a file of a study beside it, without what a newer version says of its bytes."""
    (segment,) = paths.journal.iterdir()
    path = segment if kind == "segment" else paths.tables / f"{kind}.parquet"
    table = pq.read_table(path)
    schema = SCHEMA if kind == "segment" else table.schema
    metadata = {key: value for key, value in (schema.metadata or {}).items() if b"seal" not in key}
    older = table.cast(schema).replace_schema_metadata(metadata)
    pq.write_table(older, paths.root / f"older-{kind}", write_page_checksum=True)


KINDS: dict[str, Callable[[StudyPaths], Path]] = {
    "segment": lambda paths: next(paths.journal.iterdir()),
    "older segment": lambda paths: next(paths.journal.iterdir()),
    "table": lambda paths: paths.tables / "trials.parquet",
    "older table": lambda paths: paths.tables / "trials.parquet",
    "reports": lambda paths: paths.tables / "reports.parquet",
    "summary": lambda paths: paths.tables / "summary.json",
    "manifest": lambda paths: min((paths.checkpoints / "manifests").rglob("*.json")),
    "lock": lambda paths: paths.lock,
    "stop": lambda paths: paths.stop,
    "gc": lambda paths: paths.gc,
    "gc.answer": lambda paths: paths.gc_answer,
    "request": lambda paths: paths.requests / "r.request",
    "note": lambda paths: paths.trackers / "mlflow.json",
    "mirror": lambda paths: paths.root / "mirror.json",
    "spec": lambda paths: paths.spec,
}
"""Each kind of file that is read, and where it is."""

OLDER = {"older segment": "older-segment", "older table": "older-trials"}

JSONS = [b"null", b"[]", b"{}", b"7", b'"x"', b"[" * 3000, b'{"pid": [], "host": {}}', b"NaN"]


def changed(data: bytes, chance: random.Random) -> bytes:
    """``data`` as a disk, a torn write or an editor would leave it."""
    content = bytearray(data or b'{"pid": 1}')
    match chance.randrange(8):
        case 0 | 1 | 2:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        case 3:
            for _ in range(chance.randrange(2, 20)):
                content[chance.randrange(len(content))] = chance.randrange(256)
        case 4:
            del content[chance.randrange(len(content)) :]
        case 5:
            begin = chance.randrange(len(content))
            content[begin : begin + chance.randrange(1, 64)] = bytes(chance.randrange(64))
        case 6:
            place = chance.randrange(len(content))
            content[place:place] = chance.randbytes(chance.randrange(1, 9))
        case _:
            return chance.choice([*JSONS, b"", chance.randbytes(50)])
    return bytes(content)


def ask(project: Project) -> None:
    """Ask every reader: none raises what is no error of ours, and ``sound`` is always there."""
    paths = StudyPaths.of(project.store, "bad")
    listed = project.call("ls")
    assert "sound" in listed.stdout, listed
    records = json.loads(project.call("ls", "--json").stdout)
    assert [each["study"] for each in records] == ["bad", "sound"]
    assert records[1]["status"] == "complete"
    for arguments in (
        ("show", "bad"),
        ("show", "bad/0", "--json"),
        ("best", "bad"),
        ("show", "sound"),
    ):
        ended = project.call(*arguments)
        assert ended.returncode in (0, 1, 2, 3), ended
        assert ended.stderr.count("\n") <= 1, ended
    for act in (
        lambda: glance(paths),
        lambda: survey(paths.journal),
        lambda: sweep.open_study(paths.root).trials,
        lambda: sweep.open_study(paths.root).best,
        lambda: read_note(paths, "mlflow").behind(9),
        lambda: (lag := read_lag(paths)) and lag.text(9),
        lambda: read_answer(paths, "a"),
        lambda: sweep.open_study(paths.root).load_checkpoint(trial=0),
    ):
        with suppress(SweepError):
            act()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trials = sweep.open_store(project.store).trials
    assert (trials["study"] == "sound").sum() == 4


def fuzz(project: Project, kind: str, seeds: Iterator[int]) -> None:
    paths = StudyPaths.of(project.store, "bad")
    path = KINDS[kind](paths)
    before = path.read_bytes() if path.exists() else None
    whole = (paths.root / OLDER[kind]).read_bytes() if kind in OLDER else before or b""
    summary = paths.tables / "summary.json"
    kept = summary.read_bytes()
    path.parent.mkdir(exist_ok=True)
    try:
        for seed in seeds:
            chance = random.Random(seed)
            path.write_bytes(changed(whole, chance))
            if kind.endswith("segment"):
                summary.unlink(missing_ok=True)  # else the journal is not read by all
            try:
                ask(project)
            except BaseException as error:
                error.add_note(f"kind {kind!r}, seed {seed}")
                raise
    finally:
        summary.write_bytes(kept)
        if before is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(before)


BROKE = {"summary": [1007], "gc.answer": [1003]}
"""Seeds that broke something once."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_changes(store: Project, kind: str) -> None:
    """Of each kind of file, and what broke something once."""
    fuzz(store, kind, iter([*BROKE.get(kind, []), *range(3)]))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_many_changes(store: Project, kind: str) -> None:
    """Of each kind of file, for minutes."""
    until = time.monotonic() + float(os.environ.get("SWEEP_FUZZ_S", "600"))
    first = int(os.environ.get("SWEEP_FUZZ_SEED", "1000"))

    def seeds() -> Iterator[int]:
        seed = first
        while time.monotonic() < until:
            yield seed
            seed += 1

    fuzz(store, kind, seeds())


def test_every_bit_of_a_segment_counts(store: Project, tmp_path: Path) -> None:
    """Whichever is flipped, the journal says so before it gives anything; else nothing changed."""
    paths = StudyPaths.of(store.store, "bad")
    shutil.copytree(paths.journal, tmp_path / "journal")
    (path,) = (tmp_path / "journal").iterdir()
    whole = path.read_bytes()
    expected, missed = list(read_entries(paths.journal)), 0
    for place in range(0, len(whole), 5):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        try:
            found = list(read_entries(tmp_path / "journal"))
        except SweepError as error:
            assert "torn or no Parquet file" in str(error)  # noqa: PT017
        else:
            missed += 1  # within the seal's own name
            assert found == expected
    assert missed < 10


def test_no_bit_of_an_older_segment_ends_a_reader(store: Project, tmp_path: Path) -> None:
    """Those of an older sweep carry no digest of all their bytes: what is wrong is said all the
    same."""
    paths = StudyPaths.of(store.store, "bad")
    whole = (paths.root / OLDER["older segment"]).read_bytes()
    journal = tmp_path / "journal"
    journal.mkdir()
    path = journal / KINDS["segment"](paths).name
    for place in range(4, len(whole), 2):
        content = bytearray(whole)
        content[place] ^= 1 << (place // 2) % 8
        path.write_bytes(content)
        with suppress(SweepError):
            state = read_state(journal)
            StudySpec.accepted(state.spec)
