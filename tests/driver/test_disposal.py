"""Files of retired checkpoints: gone once the journal says so, and never a reason to stop."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sweep.checkpoint.codec import encode
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.record import Kind
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.disposal import Disposal


def saved(root: Path, epoch: int) -> str:
    """The manifest of a new checkpoint."""
    draft = Draft(
        trial=0,
        attempt=1,
        session=1,
        kind=Kind.PERIODIC,
        epoch=epoch,
        global_step=0,
        step=epoch,
        parent=None,
        metrics={},
        meta={},
    )
    return CheckpointStore(root).write(draft, encode({"epoch": epoch})).manifest


def test_nothing_goes_before_it_is_durable(tmp_path: Path) -> None:
    """A checkpoint is removed only when the event that retires it is committed."""
    first, second = saved(tmp_path, 1), saved(tmp_path, 2)
    disposal = Disposal(tmp_path)
    disposal.give_up(first, 7)
    disposal.give_up(second, 8)
    disposal.settle(6)
    disposal.settle(7)
    disposal.close()
    assert CheckpointStore(tmp_path).manifests(0) == [second]


def test_what_cannot_be_removed_is_warned_of_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors of removing stop nothing: one warning with the path, and the next try counts."""
    names = [saved(tmp_path, epoch) for epoch in (1, 2, 3)]
    stuck = [tmp_path / "manifests" / name for name in names[:2]]
    for path in stuck:
        path.unlink()
        path.mkdir()  # unlink fails on it, for root too
    disposal = Disposal(tmp_path)
    with caplog.at_level(logging.WARNING, "sweep"):
        for name in names:
            disposal.remove(name)
        assert set(disposal.retry()) == set(names[:2])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(stuck[0]) in caplog.text
    assert "the study goes on" in caplog.text
    for path in stuck:
        path.rmdir()
    assert disposal.retry() == {}
    disposal.close()
