"""A checkpoint that was passed over as damaged is kept aside once the journal says so."""

from __future__ import annotations

from pathlib import Path

from sweep.checkpoint.codec import encode
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.record import Kind
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.disposal import Disposal


def test_set_aside_when_durable(tmp_path: Path) -> None:
    """Nothing moves before the event is durable; then the checkpoint is in quarantine, whole."""
    store = CheckpointStore(tmp_path)
    draft = Draft(
        trial=0, attempt=1, session=1, kind=Kind.STOP, epoch=1, global_step=0, step=None,
        parent=None, metrics={}, meta={},
    )  # fmt: skip
    name = store.write(draft, encode({"x": 1})).manifest
    disposal = Disposal(tmp_path)
    disposal.set_aside(name, "a flipped bit", 5)
    disposal.settle(4)
    assert store.manifests(0) == [name]
    disposal.settle(5)
    disposal.close()
    assert store.manifests(0) == []
    place = tmp_path / "quarantine" / name.removesuffix(".json")
    assert (place / "reason.txt").read_text() == "a flipped bit\n"
    assert (place / Path(name).name).exists()
