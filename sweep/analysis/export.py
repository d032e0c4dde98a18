"""A checkpoint's states as a file that other programs read: safetensors, or torch's own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.analysis.loading import Loaded
from sweep.analysis.placing import is_there, place
from sweep.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A file that was written. ``left_out`` are paths of what its format cannot hold."""

    path: str
    bytes: int
    tensors: int
    left_out: tuple[str, ...]


def export(loaded: Loaded, path: Path, *, study: str, force: bool = False) -> Exported:
    """Write the states of ``loaded`` to ``path``, atomically and durably.

    ``.safetensors``: every tensor and array under its path, such as ``layers.0.weight``, with the
    component's name before it where there are several. Tied tensors are written under each of their
    names, since the format shares no memory. The header says where it is from. What is no tensor is
    left out.

    ``.pt`` or ``.pth``: the state of a single component, or a dict of several, that
    ``torch.load(path, weights_only=True)`` reads. Arrays are tensors there.

    Raises:
        UsageError: another ending; the file is there and ``force`` is not given; no tensor; two
            tensors would have one path.
        StoreError: the file cannot be written.
    """
    writers = {".safetensors": _safetensors, ".pt": _torch, ".pth": _torch}
    if path.suffix not in writers:
        raise UsageError(f"{path}: must end in .safetensors or .pt")
    if is_there(path) and not force:
        raise UsageError(f"{path}: is there already; --force replaces it")
    found: list[tuple[str, Any]] = []
    left_out: list[str] = []
    trees = dict(loaded) if len(loaded) != 1 else next(iter(loaded.values()))
    _collect("", trees, found, left_out)
    tensors = dict(found)
    if path.suffix == ".safetensors":
        if len(tensors) < len(found):
            twice = [
                name for name, count in Counter(name for name, _ in found).items() if count > 1
            ]
            raise UsageError(f"{path}: two tensors would be called {twice[0]}; export to .pt")
        left_out += [name for name, tensor in tensors.items() if not _storable(tensor)]
        tensors = {name: tensor for name, tensor in tensors.items() if _storable(tensor)}
    if not tensors:
        raise UsageError(f"checkpoint {loaded.id}: no tensor in {', '.join(loaded) or 'nothing'}")
    if path.suffix == ".safetensors":
        place(path, lambda target: _safetensors(target, tensors, _origin(loaded, study)))
    else:
        left_out = []
        place(path, lambda target: _torch(target, trees, left_out))
    return Exported(
        path=str(path),
        bytes=path.stat().st_size,
        tensors=len(tensors),
        left_out=tuple(left_out),
    )


def _origin(loaded: Loaded, study: str) -> dict[str, str]:
    return {
        "study": study,
        "trial": str(loaded.trial),
        "checkpoint": loaded.id,
        "step": str(loaded.step),
        "params": json.dumps(loaded.params, default=str),
        "metrics": json.dumps(loaded.metrics),
    }


def _collect(path: str, value: Any, tensors: list[tuple[str, Any]], left_out: list[str]) -> None:
    """Tensors (arrays as such) of a tree by path, and the paths of what is none."""
    import torch

    tensor = value if isinstance(value, torch.Tensor) else _as_tensor(value)
    if isinstance(value, Mapping):
        for key, item in value.items():
            _collect(f"{path}.{key}" if path else str(key), item, tensors, left_out)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _collect(f"{path}.{index}" if path else str(index), item, tensors, left_out)
    elif tensor is None:
        left_out.append(path)
    else:
        tensors.append((path, tensor))


def _as_tensor(value: Any) -> Any:
    """An array as a tensor, in the byte order of this machine; None where torch has no such."""
    import numpy
    import torch

    if not isinstance(value, numpy.ndarray):
        return None
    try:
        return torch.from_numpy(value.astype(value.dtype.newbyteorder("="), copy=False))
    except TypeError:
        return None


def _storable(tensor: Any) -> bool:
    """Whether the format of safetensors has the dtype."""
    import torch

    return tensor.dtype not in (torch.complex32, torch.complex128)


def _safetensors(target: Path, tensors: Mapping[str, Any], origin: dict[str, str]) -> None:
    from safetensors.torch import save_file

    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        tied = tensor.untyped_storage().data_ptr() in seen and tensor.numel() > 0
        seen.add(tensor.untyped_storage().data_ptr())
        apart[name] = tensor.clone().contiguous() if tied else tensor.contiguous()
    save_file(apart, target, metadata=origin)


def _torch(target: Path, trees: Any, left_out: list[str]) -> None:
    import torch

    torch.save(_plain("", trees, left_out), target)
    torch.load(target, weights_only=True, mmap=True)  # what was promised


def _plain(path: str, value: Any, left_out: list[str]) -> Any:
    """``value`` in the types that torch loads without executing anything."""
    import numpy
    import torch

    if isinstance(value, Counter):  # of pairs it would count the pairs
        return Counter({key: _plain(f"{path}.{key}", n, left_out) for key, n in value.items()})
    if isinstance(value, dict):
        items = [(key, _plain(f"{path}.{key}", item, left_out)) for key, item in value.items()]
        return type(value)((key, item) for key, item in items if item is not _OUT)
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        plain = [_plain(f"{path}.{index}", item, left_out) for index, item in enumerate(value)]
        return type(value)(None if item is _OUT else item for item in plain)
    if isinstance(value, numpy.generic):
        return value.item()
    if isinstance(value, numpy.ndarray) and (tensor := _as_tensor(value)) is not None:
        return tensor
    if isinstance(value, numpy.ndarray):
        left_out.append(path.removeprefix("."))
        return _OUT
    return value


_OUT = object()
"""Stands for a value that is left out."""
