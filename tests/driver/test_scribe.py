"""What trials print: bounded files that hold its beginning and its end, whoever prints."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Project, until
from hypothesis import given
from hypothesis import strategies as st

from sweep.driver.scribe import Log, Scribe

LIMIT = 4096

CHATTY = """
import ctypes, os, subprocess, sys

LINE = "{who} {number:06d} " + "x" * 40 + chr(10)

def train(trial):
    print("first line", flush=True)
    libc = ctypes.PyDLL(None)  # keeps Python's lock while it prints
    for number in range(3000):
        libc.dprintf(1, LINE.format(who="library", number=number).encode())
    if (child := os.fork()) == 0:
        for number in range(3000):
            os.write(2, LINE.format(who="fork", number=number).encode())
        os._exit(0)
    os.waitpid(child, 0)
    subprocess.run([sys.executable, "-c", "print('program ' * 20000)"], check=True)
    print("last line")
    return 0.5
"""


@pytest.fixture
def scribe() -> Iterator[Scribe]:
    with closing(Scribe()) as made:
        yield made


def written(path: Path, pieces: list[bytes], limit: int) -> bytes:
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    for piece in pieces:
        Log(file, limit).write(piece)
        assert os.fstat(file).st_size <= limit
    os.close(file)
    return path.read_bytes()


@given(st.lists(st.binary(min_size=1, max_size=9000), max_size=30))
def test_a_log_is_bounded_and_keeps_both_ends(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    """Whatever is written in whatever pieces: nothing is lost up to the limit; beyond it the first
    quarter and the last are there, and the line between says how much is not."""
    whole = b"".join(pieces)
    content = written(tmp_path_factory.mktemp("log") / "log", pieces, LIMIT)
    if len(whole) <= LIMIT:
        assert content == whole
        return
    head, tail = content[: LIMIT // 4], content[LIMIT // 4 :]
    note = re.match(rb"\n\[\.\.\. +([\d,]+) bytes left out \.\.\.\]\n", tail)
    assert note is not None
    assert whole.startswith(head)
    end = tail[note.end() :]
    assert whole.endswith(end)
    assert len(end) > LIMIT // 4
    assert int(note[1].replace(b",", b"")) == len(whole) - len(head) - len(end)


def test_what_was_printed_is_there_at_the_end(scribe: Scribe, tmp_path: Path) -> None:
    """`end` returns when all is in the file, attempt after attempt; a child that prints on is
    neither waited for nor lost."""
    path = tmp_path / "logs" / "00000.log"
    for number in range(3):
        pipe = scribe.begin(path, 1 << 20)
        child = subprocess.Popen(
            [sys.executable, "-c", "input(); print('late')"], stdin=subprocess.PIPE, stdout=pipe
        )
        os.write(pipe, b"x" * 100_000)
        scribe.end(pipe)
        assert path.stat().st_size == (number + 1) * 100_000 + number * len("late\n")
        child.communicate(b"\n")
        until(lambda: path.read_bytes().endswith(b"late\n"))


@pytest.mark.ray
def test_logs_of_a_study_are_bounded(project: Project) -> None:
    """Through forks, C code and programs: a log has the first and the last line of its trial, and
    no more than was asked for."""
    (project.root / "chatty.py").write_text(CHATTY)
    spec = project.spec("study", program="chatty:train", trials=2, logs={"bytes": "100kB"})
    done = project.run("run", spec)
    assert done.returncode == 0, done.stderr
    for number in range(2):
        log = (project.store / "study" / "logs" / f"{number:05d}.log").read_text()
        assert len(log) <= 100_000
        assert log.startswith("first line\nlibrary 000000")
        assert log.endswith("program \nlast line\n")
        assert " bytes left out ...]\n" in log


def test_a_scribe_that_was_killed(scribe: Scribe, tmp_path: Path) -> None:
    """It is noticed at the next attempt, not waited for."""
    path = tmp_path / "log"
    pipe = scribe.begin(path, LIMIT)
    os.write(pipe, b"before")
    until(lambda: path.stat().st_size)
    for pid in readers_of(path):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not readers_of(path))
    with pytest.raises(OSError, match="Broken pipe"):
        scribe.end(pipe)
    with pytest.raises(OSError, match="Broken pipe"):
        scribe.begin(path, LIMIT)


def readers_of(path: Path) -> list[int]:
    """Other processes that have ``path`` open."""
    found = []
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        try:
            if int(descriptors.parent.name) != os.getpid() and any(
                each.readlink() == path for each in descriptors.iterdir()
            ):
                found.append(int(descriptors.parent.name))
        except OSError:  # it has ended, or is another's
            continue
    return found
