"""One attempt leaves nothing behind for the next one in the same process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_Setting = tuple[Callable[[], Any], Callable[[Any], Any], Any]
"""How to read it, how to set it, and what it is when torch was just imported."""


@contextmanager
def isolated() -> Iterator[None]:
    """Undo what the block does to the environment, paths, root logger and settings of torch."""
    before = _Before()
    try:
        yield
    finally:
        before.restore()


class _Before:
    def __init__(self) -> None:
        self._environment = _environment()
        self._path = list(sys.path)
        self._directory = _current_directory()
        root = logging.getLogger()
        self._handlers, self._level = list(root.handlers), root.level
        self._torch = {name: get() for name, (get, _, _) in _torch_settings().items()}

    def restore(self) -> None:
        self._restore_environment()
        sys.path[:] = self._path
        if self._directory is not None and _current_directory() != self._directory:
            with suppress(OSError):
                os.chdir(self._directory)
        root = logging.getLogger()
        if root.handlers != self._handlers:
            root.handlers[:] = self._handlers
        if root.level != self._level:
            root.setLevel(self._level)
        for name, (get, set_, default) in _torch_settings().items():
            value = self._torch.get(name, default)
            if get() != value:
                set_(value)

    def _restore_environment(self) -> None:
        now = _environment()
        if now == self._environment:
            return
        for name in now.keys() - self._environment.keys():
            del os.environb[name]
        for name, value in self._environment.items():
            if now.get(name) != value:
                os.environb[name] = value


def _environment() -> dict[bytes, bytes]:
    # What lies below `os.environ` is a plain dict; to copy that one costs a hundredth.
    return dict(getattr(os.environ, "_data", os.environb))


def _current_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  a Path would cost more than the call
    except FileNotFoundError:
        return None


def _torch_settings() -> dict[str, _Setting]:
    if "torch" not in sys.modules:
        return {}
    import torch

    return {
        "grad": (torch.is_grad_enabled, torch.set_grad_enabled, True),
        "dtype": (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        "device": (torch.get_default_device, _set_device, torch.device("cpu")),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
            False,
        ),
        "anomaly": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, False),
        "cudnn.benchmark": _attribute(torch.backends.cudnn, "benchmark", False),
        "cudnn.deterministic": _attribute(torch.backends.cudnn, "deterministic", False),
    }


def _set_device(device: Any) -> None:
    import torch

    # An explicit default device slows every call down; none means the CPU.
    torch.set_default_device(None if device == torch.device("cpu") else device)


def _attribute(owner: Any, name: str, default: Any) -> _Setting:
    return (lambda: getattr(owner, name), lambda value: setattr(owner, name, value), default)
