"""The trace of an attempt: it says how far it came, and harms nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.trial.trace import Trace, read_trace


def test_it_is_read_while_it_is_written(tmp_path: Path) -> None:
    """The newest count is there at once; nothing is made before the first, or after the end."""
    path = tmp_path / "traces" / "00000.1"
    trace = Trace(path)
    assert read_trace(path) is None
    assert not path.parent.exists()
    for step in (1, 2, 2**40):
        trace.reached(step)
        assert read_trace(path) == step
    trace.close()
    trace.reached(3)
    assert read_trace(path) == 2**40


@pytest.mark.parametrize("content", [b"", b"short", b"far too long for it"])
def test_damage_is_not_known(tmp_path: Path, content: bytes) -> None:
    """What is no count is none, and no error."""
    (tmp_path / "trace").write_bytes(content)
    assert read_trace(tmp_path / "trace") is None


def test_a_trial_does_not_fail_for_it(tmp_path: Path) -> None:
    """Where it cannot be written, the trial goes on without."""
    (tmp_path / "traces").write_text("in the way")
    trace = Trace(tmp_path / "traces" / "00000.1")
    trace.reached(1)
    trace.reached(2)
    trace.close()
