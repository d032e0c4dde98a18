"""Hyperparameter sweeps whose trials resume.

`Trial` is what a trial function is handed; `open_study` reads a study as pandas tables (a `Study`),
and `open_store` all that are in a directory (a `Store`). They are loaded on first use, so that
`import sweep` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sweep.errors import SweepError

if TYPE_CHECKING:
    from sweep.analysis.store import Store, open_store
    from sweep.analysis.study import Study, open_study
    from sweep.trial.params import Params
    from sweep.trial.trial import Trial

__version__ = "0.1.0"
__all__ = [
    "Params",
    "Store",
    "Study",
    "SweepError",
    "Trial",
    "__version__",
    "open_store",
    "open_study",
]

_LAZY = {
    "Params": "sweep.trial.params",
    "Store": "sweep.analysis.store",
    "Study": "sweep.analysis.study",
    "Trial": "sweep.trial.trial",
    "open_store": "sweep.analysis.store",
    "open_study": "sweep.analysis.study",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'sweep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
