"""The heap of a driver: what lasts is set aside, and what ceases to be needed goes all the same."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from sweep.driver import heap


class Circle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A heap of a driver, of which a few objects are worth a look."""
    gc.collect()
    monkeypatch.setattr(heap, "_LEAST", 1)
    heap.begin()
    yield
    heap.end()
    assert gc.get_freeze_count() == 0
    heap.end()
    assert gc.get_freeze_count() == 0


def test_what_survives_a_collection_is_not_looked_at_again(begun: None) -> None:
    """Later circles are still collected; at the end the others are, too."""
    lasting = [Circle() for _ in range(1000)]
    seen = weakref.ref(lasting[0])
    gc.collect()
    assert gc.get_freeze_count() >= 1000
    assert not any(isinstance(each, Circle) for each in gc.get_objects())
    later = weakref.ref(Circle())
    del lasting
    gc.collect()
    assert later() is None
    assert seen() is not None
    heap.end()
    gc.collect()
    assert seen() is None


def test_garbage_that_was_set_aside_goes_when_the_heap_has_doubled(begun: None) -> None:
    """What was alive at each of many collections, and is not any more, is not kept for good."""
    gc.collect()
    first = gc.get_freeze_count()
    kept, seen = [], []
    while gc.get_freeze_count() <= 4 * first:
        passing = Circle()  # alive while it is collected, and garbage after it
        seen.append(weakref.ref(passing))
        kept.append([[] for _ in range(first // 4)])  # type: ignore[var-annotated]
        gc.collect()
        del passing
    gone = [each() is None for each in seen]
    assert sum(gone) >= len(gone) // 4 > 1


GROWING = """
import gc
from sweep.driver import heap

heap._LEAST = 1
heap.begin()
gc.collect()
first, looks, kept = gc.get_freeze_count(), 0, []

def count(phase, info):
    global looks
    looks += phase == "start" and info["generation"] == 2 and not gc.get_freeze_count()

gc.callbacks.append(count)  # after that of the heap, which thaws
for _ in range(60):
    kept.append([[] for _ in range(first // 4)])
    gc.collect()
print(looks)
"""


def test_all_looks_together_grow_with_the_heap() -> None:
    """However many collections there are, the whole heap is looked at each time it has doubled."""
    # In a process of its own: that of the tests has a heap of millions of objects.
    done = subprocess.run(
        [sys.executable, "-c", GROWING], capture_output=True, text=True, check=True
    )
    assert 2 <= int(done.stdout) <= 4  # to 16 times of what it was
