"""Gradients that lie between an accumulation and the optimizer's step.

Most loops leave the gradients of the last step where they are until the next batch. Those are of no
use to anybody and are not saved: after each optimizer's step its gradients are marked as used, and
whatever adds to them changes their version.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Any

_MARK = "_sweep_used"


class Gradients:
    """Those of the parameters of tracked modules and optimizers."""

    def __init__(self, log: logging.Logger, saved: Mapping[str, Mapping[str, Any]]) -> None:
        """``saved`` are those of a checkpoint, by object and parameter."""
        self._log, self._saved = log, saved
        self._handle: Any = None
        self._warned = False

    def watch(self) -> None:
        """From here on, notice the steps of all of torch's optimizers."""
        module = sys.modules.get("torch.optim.optimizer")
        if module is not None and self._handle is None:
            self._handle = module.register_optimizer_step_post_hook(_mark_used)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def capture(self, objects: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Those that are not used yet and not all zero; they share memory with the parameters'."""
        found: dict[str, dict[str, Any]] = {}
        seen: set[int] = set()
        for name, path, parameter in _parameters(objects):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            gradient = parameter.grad
            if gradient is None or getattr(gradient, _MARK, None) == gradient._version:
                continue
            if not _is_plain(gradient):
                self._warn(name, path)
            elif bool(gradient.any()):
                found.setdefault(name, {})[path] = gradient.detach()
        return found

    def restore(self, objects: Mapping[str, Any]) -> None:
        """Put back those that were saved, of the objects that are tracked by now."""
        if not self._saved:
            return
        for name, path, parameter in _parameters(objects):
            gradient = self._saved.get(name, {}).get(path)
            if gradient is not None and gradient.shape == parameter.shape:
                to = {"device": parameter.device, "dtype": gradient.dtype}
                parameter.grad = gradient.to(**to, copy=True)

    def _warn(self, name: str, path: str) -> None:
        if not self._warned:
            self._warned = True
            self._log.warning(
                "the gradient of %s.%s is sparse or spread over devices, and is not saved: call "
                "trial.step() after the optimizer's step only",
                name,
                path,
            )


def _parameters(objects: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Object, place in it, and parameter: first those of modules, which have names."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    for name, value in objects.items():
        if isinstance(value, torch.nn.Module):
            for path, parameter in value.named_parameters():
                yield name, path, parameter
    for name, value in objects.items():
        if isinstance(value, torch.optim.Optimizer):
            for number, group in enumerate(value.param_groups):
                for place, parameter in enumerate(group["params"]):
                    yield name, f"{number}.{place}", parameter


def _mark_used(optimizer: Any, args: Any, kwargs: Any) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            gradient = parameter.grad
            if gradient is not None:
                setattr(gradient, _MARK, gradient._version)


def _is_plain(gradient: Any) -> bool:
    torch = sys.modules["torch"]
    strided: bool = gradient.layout is torch.strided
    return strided and type(gradient) is torch.Tensor
