"""Which errors of the system say that there is no space."""

from __future__ import annotations

import errno
import os

import pytest

from sweep.errors import CheckpointError
from sweep.fsio import is_full


@pytest.mark.parametrize(
    ("code", "full"),
    [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False), (errno.EACCES, False)],
)
def test_is_full(code: int, full: bool) -> None:
    """A full disk and a used up quota are, by themselves or as the cause of another error."""
    system = OSError(code, os.strerror(code))
    assert is_full(system) is full
    outer = CheckpointError("cannot be saved")
    outer.__cause__ = system
    assert is_full(outer) is full
    assert not is_full(CheckpointError("without a cause"))
    assert not is_full(None)
