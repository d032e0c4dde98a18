"""Who holds the lock of a piece of work, seen by other threads of the same process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweep.checkpoint import turn as module
from sweep.checkpoint.turn import is_taken, turn

HELD = "import sys, time\nfrom pathlib import Path\nfrom sweep.checkpoint.turn import turn\n" + (
    "with turn(Path(sys.argv[1]), lambda call: None):\n    print('held', flush=True)\n    input()\n"
)


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after a wait"])
def test_a_look_never_frees_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """A garbage collection may look at the very instant at which the lock is had: it sees that it
    is taken. (To open and close the file would free it, by the rules of POSIX.)"""
    path, take, seen = tmp_path / "lock", module._take, list[bool]()

    def taken(path: Path, when: Callable[[Callable[[], None]], None]) -> int | None:
        descriptor = take(path, when)
        seen.append(is_taken(path))
        return descriptor

    monkeypatch.setattr(module, "_take", taken)
    other = None
    if waits:
        command = [sys.executable, "-c", HELD, str(path)]
        pipe = subprocess.PIPE
        other = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"

    def let_go(call: Callable[[], None]) -> None:
        if other is not None:
            other.communicate("\n")

    with turn(path, let_go) as mine:
        assert mine
        assert seen == [True]
        child = "import fcntl, sys\nfcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | 4)"
        refused = subprocess.run([sys.executable, "-c", child, str(path)], capture_output=True)
        assert b"BlockingIOError" in refused.stderr
    assert not is_taken(path)
    assert list(tmp_path.iterdir()) == []
