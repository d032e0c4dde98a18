"""What a trial saved: when, in which files, how it is verified, what is kept.

`Checkpointer` is for a training loop of one's own. It is loaded on first use, so that an import of
this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.checkpoint.checkpointer import Checkpointer
    from sweep.checkpoint.policy import Policy
    from sweep.checkpoint.retention import Keep

__all__ = ["Checkpointer", "Keep", "Policy"]

_LAZY = {
    "Checkpointer": "sweep.checkpoint.checkpointer",
    "Keep": "sweep.checkpoint.retention",
    "Policy": "sweep.checkpoint.policy",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'sweep.checkpoint' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
