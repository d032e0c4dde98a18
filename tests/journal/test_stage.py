"""The fence of a journal: a writer that is stopped at any point and has lost the study writes
nothing over the next one's events."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import until
from journal_events import asked, created

from sweep.errors import StudyLockedError
from sweep.journal.journal import Journal, read_state
from sweep.journal.segment import changed_events
from sweep.journal.stage import Stage

WRITER = """
import os, signal, sys
from pathlib import Path
from sweep.errors import StoreError
from sweep.journal import journal as journals
from sweep.journal.event import StudyCreated, TrialAsked

directory, point = Path(sys.argv[1]), sys.argv[2]
armed = False

def stop():
    global armed
    if armed:
        armed = False
        os.kill(os.getpid(), signal.SIGSTOP)

def stopping(call):
    def stopped(*arguments, **options):
        stop()
        return call(*arguments, **options)
    return stopped

if point == "link":
    os.link = stopping(os.link)
if point == "fsync":
    os.fsync = stopping(os.fsync)
if point == "unlink":
    os.unlink = stopping(os.unlink)
guarded = point in ("guard", "compaction")
journal = journals.Journal(directory, guard=stop if guarded else lambda: None)

def ask():
    number = len(journal.state.trials)
    journal.append(TrialAsked(trial=number, params={"by": "first"}, latents={}, seed=0, wrote={},
                              told=0, running=[]))

journal.append(StudyCreated(spec={}, project=""))
for _ in range(4):
    ask()
    journal.flush()
if point == "compaction":
    journals.due_compaction = lambda segments: (globals().update(armed=True), segments)[1]
else:
    armed = True
try:
    for _ in range(3):
        ask()
    journal.flush()
    journal.close()
except StoreError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
"""Commits five events, stops itself at a point of the next commit or compaction, and goes on."""

POINTS = ["guard", "fsync", "link", "unlink", "compaction"]


def stopped(process: subprocess.Popen[str]) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize("point", POINTS)
def test_stopped_writer_lays_nothing_over_the_next_one(tmp_path: Path, point: str) -> None:
    """Between its look at the lock and the new name, or anywhere near: what it publishes later is
    refused, and the events of the next writer stay to the last byte."""
    directory = tmp_path / "journal"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), point], stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: stopped(writer))
        before = read_state(directory).seq
        journal = Journal(directory)
        for number in range(len(journal.state.trials), 40):
            journal.append(asked(number))
            journal.flush()
        state = journal.state
        files = {path.name: path.read_bytes() for path in directory.glob("*.parquet")}
        writer.send_signal(signal.SIGCONT)
        _, error = writer.communicate(timeout=60)
    finally:
        writer.kill()
        writer.communicate()
    assert writer.returncode == 1
    assert "StudyLockedError" in error
    assert "another process has taken the study over" in error
    assert {path.name: path.read_bytes() for path in directory.glob("*.parquet")} == files
    journal.append(asked(40))
    journal.close()
    assert read_state(directory) == state
    assert state.seq == 41
    assert before >= 4
    assert changed_events(directory) == []
    assert [path.name for path in directory.iterdir()] == ["00000000-00000041.parquet"]


def test_what_was_published_before_is_known_to_the_next_writer(tmp_path: Path) -> None:
    """The next writer lists what there is after the fence stands: no committed event is lost."""
    first = Journal(tmp_path)
    first.append(created(), asked(0))
    first.flush()
    second = Journal(tmp_path)
    assert second.committed == first.committed == 1
    first.append(asked(1))
    with pytest.raises(StudyLockedError, match="taken the study over"):
        first.flush()
    second.close()


def test_a_name_is_never_published_twice(tmp_path: Path) -> None:
    """A segment does not replace one of the same name, whoever wrote that."""
    stage = Stage(tmp_path)
    (tmp_path / "00000000-00000000.parquet").write_bytes(b"theirs")
    with (
        pytest.raises(StudyLockedError),
        stage.publishing("00000000-00000000.parquet") as file,
    ):
        file.write(b"ours")
    assert (tmp_path / "00000000-00000000.parquet").read_bytes() == b"theirs"


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """There the segment is renamed into place, and the fence holds as well."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    first = Journal(tmp_path)
    first.append(created(), asked(0))
    first.flush()
    assert read_state(tmp_path).seq == 1
    second = Journal(tmp_path)
    first.append(asked(1))
    with pytest.raises(StudyLockedError):
        first.flush()
    second.append(asked(1))
    second.close()
    assert read_state(tmp_path).seq == 2
