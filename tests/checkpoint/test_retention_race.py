"""Retention against restores, forks, saves and garbage collection, each in its own process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("retention_race.py")


@pytest.mark.parametrize("saves", [25, pytest.param(1000, marks=pytest.mark.long)])
def test_nothing_is_torn_lost_or_left(tmp_path: Path, saves: int) -> None:
    """With `last: 1` and a metric that is NaN at times, and the one who deletes killed at every
    call: a restore gives the very bytes or says that it is gone, a fork is whole, nothing stays."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), str(saves)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    counts = ast.literal_eval(done.stdout)
    assert counts["killed"] > 5, counts
    assert min(counts["restored"], counts["forked"], counts["collected"]) > 5, counts
