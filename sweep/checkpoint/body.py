"""What stands behind the header of a file, on its way into memory: read by some, hashed by one.

A digest takes a file in order, so two threads cannot share the hashing of one. But to find memory
and to copy the bytes into it takes as long as to hash them, and that a second thread can do: it
reads ahead of the one that hashes. Every byte is hashed where it will be used, after it was read,
and is read no second time.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from io import FileIO
from typing import Any

from sweep.checkpoint.hint import populate

STEP = 1 << 18
"""Bytes that are read, and then hashed, at a time: they are in the core's own cache by then. With
1 MiB a restore took a tenth more CPU."""
BLOCK = 4 * STEP
"""Bytes that a thread takes at a time."""


class Body:
    """The ``size`` bytes from ``start`` on of an open file. One thread calls `hash`.

    Attributes:
        memory: what they are read into: a tensor of bytes where torch is loaded, so that it can
            become one that is handed out.
        view: the same as bytes. Nothing is to be believed of it before `hash` has returned.
    """

    def __init__(self, file: FileIO, start: int, size: int) -> None:
        self.memory, self.view = _memory(size)
        self._file, self._start = file, start
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self.view)) if size else 0
        self._blocks = -(-size // BLOCK)
        self._turn = threading.Condition()
        self._next = 0  # the first block that nobody has taken
        self._ahead: set[int] = set()  # taken by others, and read
        self._helpers = 0  # who read a block just now
        self._error: BaseException | None = None

    def hash(self, update: Callable[[memoryview], object]) -> None:
        """Read what is not there yet; every byte is passed to ``update``, in order.

        Raises:
            OSError: as the system says.
            EOFError: the file ends before.
        """
        try:
            for block in range(self._blocks):
                if self._takes(block):
                    self._read(block, update)
                else:
                    self._await(block)
                    update(self.view[block * BLOCK : (block + 1) * BLOCK])
        finally:
            self._leave()

    def read_ahead(self) -> None:
        """Read for the thread that hashes until nothing is left; that thread is told of errors."""
        while (block := self._take()) is not None:
            error: BaseException | None = None
            try:
                self._read(block)
            except BaseException as caught:  # noqa: BLE001  who waits must hear of it
                error = caught
            with self._turn:
                self._helpers -= 1
                self._ahead.add(block)
                self._error = self._error or error
                self._turn.notify_all()

    def _takes(self, block: int) -> bool:
        with self._turn:
            if self._next > block:
                return False
            self._next += 1
            return True

    def _take(self) -> int | None:
        with self._turn:
            if self._next >= self._blocks or self._error:
                return None
            self._next += 1
            self._helpers += 1
            return self._next - 1

    def _await(self, block: int) -> None:
        with self._turn:
            self._turn.wait_for(lambda: block in self._ahead)
            if self._error:
                raise self._error

    def _leave(self) -> None:
        """After this nobody reads: the file may be closed."""
        with self._turn:
            self._next = self._blocks
            self._turn.wait_for(lambda: not self._helpers)

    def _read(self, block: int, update: Callable[[memoryview], object] | None = None) -> None:
        for offset, part in self._steps(block):
            populate(self._address + offset, len(part))
            done = 0
            while done < len(part):
                place = self._start + offset + done
                count = os.preadv(self._file.fileno(), [part[done:]], place)
                if not count:
                    raise EOFError
                done += count
            if update is not None:
                update(part)

    def _steps(self, block: int) -> Iterator[tuple[int, memoryview]]:
        end = min((block + 1) * BLOCK, len(self.view))
        for offset in range(block * BLOCK, end, STEP):
            yield offset, self.view[offset : min(offset + STEP, end)]


class PackedBody:
    """As `Body`, of a file that has to be unpacked from its beginning to its end, by one thread.

    Attributes:
        memory, view: as those of `Body`.
    """

    def __init__(self, content: Any, size: int) -> None:
        """``content`` has ``readinto`` and stands at the first of ``size`` bytes."""
        self.memory, self.view = _memory(size)
        self._content = content

    def hash(self, update: Callable[[memoryview], object]) -> None:
        """As that of `Body`; an end that does not come is an `EOFError`, too."""
        for start in range(0, len(self.view), STEP):
            part = self.view[start : start + STEP]
            _fill(self._content, part)
            update(part)
        if self._content.readinto(bytearray(1)):
            raise EOFError

    def read_ahead(self) -> None:
        """Nothing: each byte follows from those before it."""


def read_exactly(content: Any, size: int) -> bytes:
    """The next ``size`` bytes of what has ``readinto``.

    Raises:
        EOFError: it ends before.
    """
    data = bytearray(size)
    _fill(content, memoryview(data))
    return bytes(data)


def _fill(content: Any, into: memoryview) -> None:
    done = 0
    while done < len(into):
        count = content.readinto(into[done:])
        if not count:
            raise EOFError
        done += count


def _memory(size: int) -> tuple[Any, memoryview]:
    torch = sys.modules.get("torch")
    if torch is None or not size:
        data = bytearray(size)
        return data, memoryview(data)
    tensor = torch.empty(size, dtype=torch.uint8, device="cpu")
    return tensor, memoryview(tensor.numpy())
