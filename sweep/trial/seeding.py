"""Seeds that follow from names, and the seeding of libraries that are imported later."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from sweep.checkpoint import rng


def derive(*parts: int | str | None) -> int:
    """A seed of 64 bits that is a pure function of ``parts``; stable over versions and machines."""
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def trial_seed(study_seed: int, trial: int) -> int:
    """The seed of a trial, of 32 bits."""
    return derive("trial", study_seed, trial) >> 32


def rank_seed(seed: int, rank: int) -> int:
    """The seed of the generators in one of several processes of a trial, of 32 bits."""
    return derive("rank", seed, rank) >> 32


@contextmanager
def on_import(loaded: Callable[[str], None]) -> Iterator[None]:
    """Call ``loaded(library)`` right after a library of `rng` is first imported in the block.

    Without this, what a trial draws would depend on what ran before it in the same process.
    """
    waiting = {name: it for name, it in rng.modules().items() if name not in sys.modules}
    if not waiting:
        yield
        return
    finder = _Finder(waiting, loaded)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Lets the others find a module, and has itself told when it was executed."""

    def __init__(self, waiting: dict[str, str], loaded: Callable[[str], None]) -> None:
        self._waiting, self._loaded = waiting, loaded

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._waiting:
            return None
        # Only those behind this one: another `on_import` around this block is one of them.
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            if (spec := finder.find_spec(name, path, target)) is not None:
                if spec.loader is not None:
                    loaded = partial(self._loaded, self._waiting[name])
                    spec.loader = _Loader(spec, spec.loader, loaded)
                return spec
        return None


class _Loader(Loader):
    """Executes a module as its own loader does, puts that back, then calls ``loaded``."""

    def __init__(self, spec: ModuleSpec, loader: Loader, loaded: Callable[[], None]) -> None:
        self._spec, self._loader, self._done = spec, loader, loaded

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._done()
