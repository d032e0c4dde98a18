"""The heap of a driver: what lasts is frozen, and thawed when the driver ends."""

from __future__ import annotations

import gc
import weakref

from sweep.driver import heap


class Circle:
    def __init__(self) -> None:
        self.itself = self


def test_what_survives_a_collection_is_not_looked_at_again() -> None:
    """Later circles are still collected; at the end the others are, too."""
    gc.collect()
    lasting = [Circle() for _ in range(1000)]
    seen = weakref.ref(lasting[0])
    heap.begin()
    try:
        gc.collect()
        assert gc.get_freeze_count() >= 1000
        assert not any(isinstance(each, Circle) for each in gc.get_objects())
        later = weakref.ref(Circle())
        del lasting
        gc.collect()
        assert later() is None
        assert seen() is not None
    finally:
        heap.end()
    gc.collect()
    assert gc.get_freeze_count() == 0
    assert seen() is None
    heap.end()
    assert gc.get_freeze_count() == 0
