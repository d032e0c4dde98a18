"""Captures go into memory that was used before, and never into memory that is being written."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_maker import draft

from sweep.checkpoint.buffer import Buffers
from sweep.checkpoint.encoder import Captured, Encoder
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.saver import Saver
from sweep.checkpoint.store import CheckpointStore


def capture(buffers: Buffers, tree: Any) -> Captured:
    encoder = Encoder(buffers)
    return encoder.captured(encoder.encode(tree, ""))


def places(captured: Captured) -> dict[str, int]:
    """Where each array lies."""
    return {name: np.asarray(array.data).ctypes.data for name, array in captured.arrays.items()}


def state(value: float) -> dict[str, Any]:
    return {
        "tensor": torch.full((100, 50), value),
        "turned": torch.full((50, 100), value).T,
        "array": np.full(77, float(value)),
    }


def test_memory_is_used_again() -> None:
    """The second capture lies where the first did; what it does not use any more is let go."""
    buffers = Buffers()
    first = capture(buffers, state(1) | {"gone": torch.zeros(5)})
    where = places(first)
    first.release()
    second = capture(buffers, state(2))
    assert places(second) == {name: where[name] for name in state(2)}
    for name, value in state(2).items():
        data = second.arrays[name].data
        data = data.view(np.float64) if isinstance(data, np.ndarray) else data
        assert (data == 2).all(), value


def test_memory_in_flight_is_not_touched() -> None:
    """A capture while another is not released yet has memory of its own."""
    buffers = Buffers()
    first = capture(buffers, state(1))
    second = capture(buffers, state(2))
    assert set(places(first).values()).isdisjoint(places(second).values())
    assert bool((first.arrays["tensor"].data == 1).all())
    assert bool((first.arrays["array"].data.view(np.float64) == 1).all())


def test_released_capture_cannot_be_written() -> None:
    """What was released holds no arrays, so nobody can write what the next capture overwrites."""
    buffers = Buffers()
    captured = capture(buffers, state(1))
    captured.release()
    captured.release()
    assert captured.arrays == {}


def test_another_shape_or_type_has_other_memory() -> None:
    """A name whose tensor has changed its shape or dtype is not squeezed into the old memory."""
    buffers = Buffers()
    for value in (torch.zeros(4), torch.ones(5), torch.ones(5, dtype=torch.int64), np.ones(5)):
        captured = capture(buffers, {"x": value})
        (array,) = captured.arrays.values()
        raw = value.tobytes() if isinstance(value, np.ndarray) else value.numpy().tobytes()
        assert bytes(array.view()) == raw
        captured.release()


def test_changed_right_after_each_of_many_saves(tmp_path: Path) -> None:
    """Tensors that change as soon as `save` returns are written as they were, time after time."""
    store, records = CheckpointStore(tmp_path), list[CheckpointRecord]()
    saver, buffers = Saver(store, records.append), Buffers()
    tree = {"large": torch.zeros(300_000), "small": torch.zeros(3), "array": np.zeros(100_000)}
    for epoch in range(1, 6):
        for value in tree.values():
            value[:] = epoch
        saver.save(draft(epoch), capture(buffers, tree))
        for value in tree.values():
            value[:] = -1
    saver.close()
    assert len(records) == 5
    for epoch, record in enumerate(records, start=1):
        for value in store.read(record.manifest).tree.values():
            assert (value == epoch).all()


def test_reuse_is_worth_it() -> None:
    """Into used memory a capture takes less time than into fresh memory."""
    tree = {"x": torch.zeros(1 << 23)}
    buffers, fresh, warm = Buffers(), [], []
    capture(buffers, tree).release()
    for _ in range(7):
        begun = time.perf_counter()
        capture(Buffers(), tree)
        fresh.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        capture(buffers, tree).release()
        warm.append(time.perf_counter() - begun)
    assert min(warm) < min(fresh)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_tensors_are_copied_to_pinned_memory() -> None:
    """Copies from a device are whole when the capture is, and their memory is pinned."""
    buffers = Buffers()
    for value in (1.0, 2.0):
        tensor = torch.full((1 << 22,), value, device="cuda")
        turned = torch.full((64, 32), value, device="cuda").T[::2]
        captured = capture(buffers, {"x": tensor, "y": turned})
        assert all(array.data.is_pinned() for array in captured.arrays.values())
        tensor.zero_()
        assert all(bool((array.data == value).all()) for array in captured.arrays.values())
        captured.release()


def test_buffers_from_two_threads() -> None:
    """Two threads that capture at once never share memory."""
    buffers, barrier, wrong = Buffers(), threading.Barrier(2), list[int]()

    def work(value: int) -> None:
        for _ in range(50):
            barrier.wait()
            captured = capture(buffers, {"x": torch.full((1000,), value)})
            barrier.wait()
            if not bool((captured.arrays["x"].data == value).all()):
                wrong.append(value)
            captured.release()

    threads = [threading.Thread(target=work, args=(value,)) for value in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
