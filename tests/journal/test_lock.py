"""One writer: the lock names its holder, dies with it, and is not inherited."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.errors import StoreError, StudyLockedError
from sweep.journal.lock import Lock, holder

HOLD = """
import sys
from pathlib import Path
from sweep.journal.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str], number: int) -> None:
    os.kill(process.pid, number)
    process.wait()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()


def test_second_driver_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    """A lock that another process holds is refused with that process's number."""
    path = tmp_path / "lock"
    process = hold(path)
    with pytest.raises(StudyLockedError, match=str(process.pid)):
        Lock(path)
    found = holder(path)
    assert found is not None
    assert found.pid == process.pid
    end(process, signal.SIGKILL)


def test_lock_of_a_killed_driver_is_free_at_once(tmp_path: Path) -> None:
    """After SIGKILL the next driver takes over without waiting."""
    path = tmp_path / "lock"
    end(hold(path), signal.SIGKILL)
    assert holder(path) is None
    Lock(path).release()


def test_this_process_is_refused_too(tmp_path: Path) -> None:
    """One process cannot write a study twice."""
    lock = Lock(tmp_path / "lock")
    with pytest.raises(StudyLockedError, match="this process"):
        Lock(tmp_path / "lock")
    lock.release()
    Lock(tmp_path / "lock").release()


def test_looking_does_not_release(tmp_path: Path) -> None:
    """Asking who holds the lock leaves it held, also from the holding process."""
    path = tmp_path / "lock"
    lock = Lock(path)
    assert holder(path) is not None
    probe = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path\n"
            "from sweep.journal.lock import holder; print(holder(Path(sys.argv[1])).pid)",
            str(path),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(probe.stdout) == os.getpid()
    lock.release()


def test_no_lock_file_means_no_holder(tmp_path: Path) -> None:
    """A study that nobody ever ran has no holder; a place that cannot have a lock is an error."""
    assert holder(tmp_path / "lock") is None
    with pytest.raises(StoreError):
        Lock(tmp_path / "no" / "lock")
