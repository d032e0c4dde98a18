"""Reading a file into memory: by several threads, each byte once, and hashed where it is used."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_maker import draft, flip

from sweep.checkpoint import body as module
from sweep.checkpoint.body import BLOCK, STEP, Body
from sweep.checkpoint.codec import encode
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.store import CheckpointStore
from sweep.errors import CheckpointDamagedError

HEAD = 24


def made(path: Path, size: int) -> bytes:
    data = np.random.default_rng(0).bytes(size)
    path.write_bytes(bytes(HEAD) + data)
    return data


def hashed(body: Body) -> str:
    digest = hashlib.sha256()
    body.hash(digest.update)
    return digest.hexdigest()


@pytest.mark.parametrize("helpers", [0, 1, 3])
@pytest.mark.parametrize("size", [0, 1, STEP - 1, STEP, STEP + 1, BLOCK, BLOCK + 1, 9 * BLOCK + 5])
def test_bytes_and_digest_are_those_of_the_file(tmp_path: Path, size: int, helpers: int) -> None:
    """However many threads read, the memory and the digest are those of the file."""
    data = made(tmp_path / "file", size)
    with (
        (tmp_path / "file").open("rb", buffering=0) as file,
        ThreadPoolExecutor(max(1, helpers)) as threads,
    ):
        body = Body(file, HEAD, size)
        running = [threads.submit(body.read_ahead) for _ in range(helpers)]
        assert hashed(body) == hashlib.sha256(data).hexdigest()
        assert bytes(body.view) == data
        for each in running:
            each.result()


def test_no_byte_is_read_twice(tmp_path: Path) -> None:
    """What was read ahead is hashed as it was read, whatever has become of the file since."""
    data = made(tmp_path / "file", 3 * BLOCK)
    with (tmp_path / "file").open("r+b", buffering=0) as file:
        body = Body(file, HEAD, len(data))
        body.read_ahead()
        file.truncate(0)
        assert hashed(body) == hashlib.sha256(data).hexdigest()


def test_what_is_hashed_is_what_is_used(tmp_path: Path) -> None:
    """A bit that flips in the memory that will be given out, before it is hashed, is found."""
    data = made(tmp_path / "file", 3 * BLOCK)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        body = Body(file, HEAD, len(data))
        body.read_ahead()
        body.view[BLOCK + 7] ^= 1
        assert hashed(body) != hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("ahead", [False, True])
def test_file_that_ends_early(tmp_path: Path, *, ahead: bool) -> None:
    """A file that was cut after its size was asked for is an error of the thread that hashes."""
    made(tmp_path / "file", 2 * BLOCK)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        body = Body(file, HEAD, 3 * BLOCK)
        if ahead:
            body.read_ahead()
        with pytest.raises(EOFError):
            hashed(body)


def test_helper_has_left_when_the_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that hashes, and fails, waits for the others: they read no file that is closed."""
    made(tmp_path / "file", 9 * BLOCK)
    begun, refused = threading.Event(), threading.Event()
    closed: list[bool] = []
    system_preadv: Callable[..., int] = os.preadv

    def preadv(descriptor: int, buffers: Any, offset: int) -> int:
        if threading.current_thread() is helper:
            begun.set()
            assert refused.wait(30)
            closed.append(file.closed)
        return system_preadv(descriptor, buffers, offset)

    def refuse(chunk: memoryview) -> None:
        helper.start()
        assert begun.wait(30)
        refused.set()
        raise OSError("no")

    monkeypatch.setattr(module.os, "preadv", preadv)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        body = Body(file, HEAD, 9 * BLOCK)
        helper = threading.Thread(target=body.read_ahead)
        with pytest.raises(OSError, match="no"):
            body.hash(refuse)
    helper.join(30)
    assert closed
    assert not any(closed)
    assert len(closed) == BLOCK // STEP  # the block that it was at, and no other


@pytest.fixture
def large(tmp_path: Path) -> tuple[CheckpointStore, CheckpointRecord, Path]:
    """A checkpoint of one array of nine blocks and a bit."""
    store = CheckpointStore(tmp_path)
    array = torch.arange(9 * BLOCK // 4 + 5, dtype=torch.int32)
    record = store.write(draft(1), encode({"x": array}))
    (path,) = (tmp_path / "blobs").rglob("*.safetensors")
    return store, record, path


def test_second_thread_helps_with_a_single_file(
    large: tuple[CheckpointStore, CheckpointRecord, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is one large file only, two threads read it; the array is what was saved."""
    store, record, _ = large
    readers: set[int] = set()
    both = threading.Event()

    def preadv(descriptor: int, buffers: Any, offset: int) -> int:
        readers.add(threading.get_ident())
        if len(readers) == 2:
            both.set()
        assert both.wait(30), "nobody came to help"
        return system_preadv(descriptor, buffers, offset)

    system_preadv: Callable[..., int] = os.preadv
    monkeypatch.setattr(module.os, "preadv", preadv)
    found = store.read(record.manifest).tree["x"]
    assert torch.equal(found, torch.arange(9 * BLOCK // 4 + 5, dtype=torch.int32))
    assert len(readers) == 2


@pytest.mark.parametrize("place", [0, 8, 100, BLOCK, 5 * BLOCK - 1, 8 * BLOCK + STEP, -1])
def test_flipped_bit_of_a_large_file(
    large: tuple[CheckpointStore, CheckpointRecord, Path], place: int
) -> None:
    """It is found wherever it is, be that read ahead or not, and the file is named."""
    store, record, path = large
    flip(path, place % path.stat().st_size, bit=3)
    with pytest.raises(CheckpointDamagedError, match=path.name):
        store.read(record.manifest)


def test_memory_is_that_of_the_thread_that_restores(
    large: tuple[CheckpointStore, CheckpointRecord, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a thread has freed is at hand for it again, which no thread of a pool could have."""
    store, record, _ = large
    askers: list[int] = []
    memory = module._memory

    def asked(size: int) -> Any:
        askers.append(threading.get_ident())
        return memory(size)

    monkeypatch.setattr(module, "_memory", asked)
    store.read(record.manifest)
    assert askers == [threading.get_ident()]
