"""Saving behind the training, against a real store."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checkpoint_maker import draft

from sweep.checkpoint.codec import Captured, encode
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.record import CheckpointRecord, Kind
from sweep.checkpoint.saver import Saver
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import CheckpointError
from sweep.fsio import is_full


def test_saves_in_order_behind_the_caller(tmp_path: Path) -> None:
    """Checkpoints are announced in order, by another thread, each when it can be read."""
    store = CheckpointStore(tmp_path)
    seen: list[tuple[str, int]] = []

    def saved(record: CheckpointRecord) -> None:
        store.read(record.manifest)
        seen.append((record.id, threading.get_ident()))

    saver = Saver(store, saved)
    for epoch in range(5):
        saver.save(draft(epoch), encode({"epoch": epoch}))
    saver.close()
    assert [name for name, _ in seen] == [f"0@{epoch}.0" for epoch in range(5)]
    assert {thread for _, thread in seen}.isdisjoint({threading.get_ident()})


def test_save_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """A save returns while the disk is busy; a second one waits for the first."""
    reached, go_on = threading.Event(), threading.Event()

    def saved(record: CheckpointRecord) -> None:
        reached.set()
        go_on.wait()

    saver = Saver(CheckpointStore(tmp_path), saved)
    saver.save(draft(1), encode({}))
    reached.wait()
    saver.check()  # neither waits nor raises
    threading.Timer(0.05, go_on.set).start()
    saver.save(draft(2), encode({}))
    assert go_on.is_set()
    saver.close()


@pytest.mark.parametrize("method", ["check", "wait", "close", "save"])
def test_error_surfaces_once(tmp_path: Path, method: str) -> None:
    """A save that failed raises at the next call, whichever that is, and only there."""
    blocker = tmp_path / "manifests"
    blocker.write_text("in the way")
    saver = Saver(CheckpointStore(tmp_path), lambda record: None)
    saver.save(draft(1), encode({}))
    saver._flights[0].written.exception()  # until it is done
    with pytest.raises(CheckpointError, match=r"0@1\.0 cannot be saved.*manifests"):
        saver.save(draft(2), encode({})) if method == "save" else getattr(saver, method)()
    blocker.unlink()
    saver.save(draft(3), encode({}))
    saver.close()


def test_no_thread_is_left(tmp_path: Path) -> None:
    """A closed saver has no thread, also after an error; one that never saved never had one."""
    before = threading.active_count()
    saver = Saver(CheckpointStore(tmp_path), lambda record: None)
    saver.close()
    assert threading.active_count() == before
    (tmp_path / "manifests").write_text("in the way")
    saver.save(draft(1), encode({}))
    with pytest.raises(CheckpointError):
        saver.close()
    assert threading.active_count() == before


class Gated(CheckpointStore):
    """Stands still after the first file of a save until it is let go on."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root
        self.reached, self.go_on = threading.Event(), threading.Event()

    def write(
        self, draft: Draft, captured: Captured, cancelled: Callable[[], bool] = lambda: False
    ) -> CheckpointRecord:
        def gate() -> bool:
            if list(self.root.glob("blobs/*/*/*.safetensors")):
                self.reached.set()
                assert self.go_on.wait(60)
            return cancelled()

        return super().write(draft, captured, gate)


def test_replaced_save_leaves_nothing(tmp_path: Path) -> None:
    """A save in flight gives way to a newer one; that one does not, so something is saved."""
    store, seen = Gated(tmp_path), list[str]()
    saver = Saver(store, lambda record: seen.append(record.id))
    state = {"x": np.arange(1000)}
    saver.save(draft(1), encode(state))
    assert store.reached.wait(60)
    assert saver.replaceable
    saver.save(draft(2), encode(state), replace=True)  # returns while the first one hangs
    assert saver.busy
    assert not saver.replaceable
    store.go_on.set()
    saver.close()
    assert seen == ["0@2.0"]
    assert store.manifests(0) == [draft(2).manifest]
    assert [path.name for path in tmp_path.glob("blobs/*/*")] == [
        draft(2).manifest.split("/")[1].removesuffix(".json")
    ]
    store.read(draft(2).manifest)


def test_only_periodic_saves_are_replaced(tmp_path: Path) -> None:
    """What a stop or the trial itself asked for is never given up."""
    store = Gated(tmp_path)
    saver = Saver(store, lambda record: None)
    saver.save(dataclasses.replace(draft(1), kind=Kind.MANUAL), encode({"x": np.arange(9)}))
    assert store.reached.wait(60)
    assert not saver.replaceable
    store.go_on.set()
    saver.close()
    assert saver.last is not None
    assert saver.last.kind is Kind.MANUAL


def test_no_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    """With less space than the last save took, the next is refused as a full disk is."""
    saver = Saver(CheckpointStore(tmp_path), lambda record: None, tmp_path)
    saver.save(draft(1), encode({"x": np.arange(9)}))
    saver.wait()
    assert saver.last is not None
    saver.last = dataclasses.replace(saver.last, new_bytes=1 << 62)
    saver.save(draft(2), encode({"x": np.arange(9)}))
    with pytest.raises(CheckpointError, match=r"0@2\.0 cannot be saved: .*bytes are free") as error:
        saver.close()
    assert is_full(error.value)
    assert CheckpointStore(tmp_path).manifests(0) == [draft(1).manifest]


@pytest.mark.parametrize("late", [False, True], ids=["in time", "too late"])
def test_parent_of_what_replaced_another(tmp_path: Path, late: bool) -> None:
    """The parent is what is durable before it: what was given up is none, what was not is."""
    store, seen = Gated(tmp_path), list[CheckpointRecord]()
    at_end, go_on = threading.Event(), threading.Event()

    def saved(record: CheckpointRecord) -> None:
        seen.append(record)
        if late:
            at_end.set()
            assert go_on.wait(60)

    saver = Saver(store, saved)
    saver.save(dataclasses.replace(draft(1), parent="0@0.0"), encode({"x": np.arange(9)}))
    assert store.reached.wait(60)
    if late:
        store.go_on.set()
        assert at_end.wait(60)
    saver.save(
        dataclasses.replace(draft(2), parent="0@1.0"), encode({"x": np.arange(9)}), replace=True
    )
    store.go_on.set()
    go_on.set()
    saver.close()
    assert [record.parent for record in seen] == (["0@0.0", "0@1.0"] if late else ["0@0.0"])


def test_what_is_relied_on_is_not_replaced(tmp_path: Path) -> None:
    """A periodic save that a trial was given the id of becomes durable, whatever comes after."""
    store, seen = Gated(tmp_path), list[str]()
    saver = Saver(store, lambda record: seen.append(record.id))
    saver.save(draft(1), encode({"x": np.arange(9)}))
    assert store.reached.wait(60)
    saver.secure()
    assert not saver.replaceable
    store.go_on.set()
    saver.save(draft(2), encode({"x": np.arange(9)}), replace=True)
    saver.close()
    assert seen == ["0@1.0", "0@2.0"]
