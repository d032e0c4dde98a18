"""Whose turn it is, as seen from the process that has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sweep.checkpoint.turn import _held, _take, is_taken

OTHER = "import sys; from sweep.checkpoint.turn import *; print(is_taken(Path(sys.argv[1])))"


def test_a_look_from_its_own_process_drops_no_lock(tmp_path: Path) -> None:
    """From the instant in which a turn is taken, `gc` in the same process sees it and keeps it."""
    path = tmp_path / "key.lock"
    descriptor = _take(path, lambda call: None)
    try:
        assert is_taken(path)
        other = [sys.executable, "-c", OTHER, str(path)]
        assert subprocess.run(other, capture_output=True, text=True).stdout == "True\n"
    finally:
        _held.discard(path)
        os.close(descriptor or -1)
