"""The heap of a process that drives trials and executes none.

What survives a full collection there is what studies hold for good: their trials, and what the
search knows of them. Looked at again and again, that takes 0.4 s at 10,000 trials, every few
seconds, in which no slot gets its next trial. So it is set aside (`gc.freeze`), and looked at once
more each time that it has doubled: what had ceased to be needed since goes then, and all the looks
together take time with the number of trials, not with its square.
"""

from __future__ import annotations

import gc

_LEAST = 100_000
"""Fewer objects than this are not worth a look of their own."""

_looked_at = 0
"""How many objects were left at the last look at all of them."""


def begin() -> None:
    """From now on what has survived a full collection is looked at again when it has doubled."""
    gc.callbacks.append(_collected)


def end() -> None:
    """Look at everything again. Without `begin` it does nothing."""
    global _looked_at
    if _collected in gc.callbacks:
        gc.callbacks.remove(_collected)
        gc.unfreeze()
        _looked_at = 0


def _collected(phase: str, info: dict[str, int]) -> None:
    global _looked_at
    if info["generation"] != 2:
        return
    if phase == "start":
        if gc.get_freeze_count() > 2 * max(_looked_at, _LEAST):
            gc.unfreeze()  # this collection looks at everything
            _looked_at = 0
        return
    gc.freeze()
    if not _looked_at:
        _looked_at = gc.get_freeze_count()
