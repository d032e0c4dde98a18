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


NESTED = """
import sys
from pathlib import Path
from sweep.checkpoint.turn import turn
from sweep.errors import UsageError
first, second = map(Path, sys.argv[1:])
try:
    with turn(first, lambda call: None):
        print("held", flush=True)
        input()
        with turn(second, lambda call: None) as mine:
            print("both" if mine else "left")
except UsageError as error:
    print(error)
"""


def test_two_that_wait_for_each_other(tmp_path: Path) -> None:
    """Calls that are nested in opposite orders: one of the two is told, the other one goes on."""
    one, two = tmp_path / "one", tmp_path / "two"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", NESTED, *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for paths in ((one, two), (two, one))
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(process.communicate()[0] for process in processes)
    assert sum("two trials wait for each other" in each for each in said) == 1, said
    assert said.count("both\n") == 1, said
    assert list(tmp_path.iterdir()) == []
