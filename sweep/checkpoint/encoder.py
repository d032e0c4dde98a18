"""From a tree to its skeleton and arrays; see `sweep.checkpoint.codec`."""

from __future__ import annotations

import base64
import math
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sweep.checkpoint.blob import CODES, Array
from sweep.checkpoint.buffer import Buffers, Lease
from sweep.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np
    import torch

TAG = "$"
"""Key of an object of the skeleton that names a type which JSON does not know."""
_PLAIN = (bool, int, str, type(None))


@dataclass(frozen=True, slots=True)
class Captured:
    """A copy of a tree, ready to be written."""

    skeleton: Any
    """What `json.dumps` takes, strictly (no NaN)."""
    arrays: dict[str, Array] = field(default_factory=dict)
    """The copied arrays that the skeleton names."""
    lease: Lease | None = None
    """The reused memory that the arrays lie in."""

    def release(self) -> None:
        """Give its memory back for the next capture; the arrays are gone from here on."""
        self.arrays.clear()
        if self.lease is not None:
            self.lease.release()


class Encoder:
    """Copies one tree or several into arrays and skeletons; `captured` ends it.

    Tensors that cover the same memory (tied weights, a tensor and its transpose) are copied once,
    and cover the same memory again when decoded. Tensors that overlap only in part are copied
    apart: each comes back with its values, and with memory of its own.
    """

    def __init__(self, buffers: Buffers | None = None) -> None:
        """Without ``buffers`` each copy has fresh memory."""
        self._arrays: dict[str, Array] = {}
        self._lease = Lease(None, {}) if buffers is None else buffers.lease()
        self._devices: set[torch.device] = set()
        self._open: set[int] = set()
        # Sources are kept alive, so that no later temporary takes an address for another tensor.
        self._shared: dict[tuple[Any, ...], tuple[torch.Tensor, str]] = {}

    def captured(self, skeleton: Any) -> Captured:
        """All that was encoded, under a ``skeleton`` made of what `encode` returned.

        Copies from CUDA devices were only begun until now; this waits for them.
        """
        for device in self._devices:
            sys.modules["torch"].cuda.synchronize(device)
        return Captured(skeleton, self._arrays, self._lease)

    def encode(self, value: Any, path: str) -> Any:
        """The skeleton of ``value``; ``path`` begins the paths in errors and the arrays' names.

        Raises:
            CheckpointError: a leaf of an unknown type, with its path (``optimizer.foo[3]: set``),
                or a tree that contains itself.
        """
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is float:
            return value if math.isfinite(value) else {TAG: "float", "value": str(value)}
        if kind in _CONTAINERS:
            return self._container(value, path)
        if kind is bytes or kind is bytearray:
            return {TAG: kind.__name__, "value": base64.b64encode(value).decode()}
        return self._foreign(value, path)

    def _container(self, value: Any, path: str) -> Any:
        if id(value) in self._open:
            raise CheckpointError(f"{path}: contains itself, which cannot be saved")
        self._open.add(id(value))
        try:
            return _CONTAINERS[type(value)](self, value, path)
        finally:
            self._open.remove(id(value))

    def list(self, value: list[Any], path: str) -> Any:
        return [self.encode(item, f"{path}[{index}]") for index, item in enumerate(value)]

    def tuple(self, value: tuple[Any, ...], path: str) -> Any:
        return {TAG: "tuple", "items": self.list(list(value), path)}

    def dict(self, value: dict[Any, Any], path: str) -> Any:
        if all(type(key) is str for key in value) and TAG not in value:
            return {key: self.encode(item, child(path, key)) for key, item in value.items()}
        return {TAG: "dict", "items": self._items(value, path)}

    def ordered(self, value: OrderedDict[Any, Any], path: str) -> Any:
        encoded: dict[str, Any] = {TAG: "OrderedDict", "items": self._items(value, path)}
        metadata = getattr(value, "_metadata", None)  # versions of modules in a state_dict
        if metadata is not None:
            encoded["metadata"] = self.encode(metadata, child(path, "_metadata"))
        return encoded

    def counter(self, value: Counter[Any], path: str) -> Any:
        return {TAG: "Counter", "items": self._items(value, path)}

    def _items(self, value: Mapping[Any, Any], path: str) -> Any:
        return [
            [self._key(key, path), self.encode(item, child(path, key))]
            for key, item in value.items()
        ]

    def _key(self, key: Any, path: str) -> Any:
        leaves = key if type(key) is tuple else (key,)
        if all(type(leaf) in (*_PLAIN, float, bytes) for leaf in leaves):
            return self.encode(key, f"{path} (key)")
        raise CheckpointError(f"{path}: a key of type {_name(key)} cannot be saved")

    def _foreign(self, value: Any, path: str) -> Any:
        numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        if numpy is not None and isinstance(value, numpy.generic) and not value.dtype.hasobject:
            return {
                TAG: "numpy.generic",
                "dtype": value.dtype.str,
                "value": base64.b64encode(value.tobytes()).decode(),
            }
        if numpy is not None and type(value) is numpy.ndarray:
            return self._ndarray(value, path)
        if torch is not None:
            if isinstance(value, torch.Tensor):
                return self._tensor(value, path)
            if type(value) is torch.Size:
                return {TAG: "torch.Size", "items": list(value)}
            if isinstance(value, torch.device | torch.dtype):
                return {TAG: f"torch.{type(value).__name__}", "value": str(value)}
        raise CheckpointError(
            f"{path}: {_name(value)} cannot be saved; save what it holds as numbers, strings, "
            "lists, dicts, arrays or tensors"
        )

    def _ndarray(self, value: np.ndarray[Any, Any], path: str) -> Any:
        import numpy

        if value.dtype.hasobject or value.dtype.names is not None:
            raise CheckpointError(f"{path}: a NumPy array of {value.dtype} cannot be saved")
        copy = self._lease.ndarray(path, value)
        numpy.copyto(copy, value)
        code = CODES.get(value.dtype.name) if value.dtype.isnative else None
        data = copy.reshape(-1).view(numpy.uint8)
        array = Array(code or "U8", copy.shape if code else data.shape, data)
        return {
            TAG: "numpy.ndarray",
            "array": self._add(array, path),
            "dtype": value.dtype.str,
            "shape": list(value.shape),
        }

    def _tensor(self, value: torch.Tensor, path: str) -> Any:
        _check_tensor(value, path)
        source = value.detach()
        dtype = str(source.dtype).removeprefix("torch.")
        flags = (source.is_conj(), source.is_neg())
        laid, order = _laid_out(source)
        place: tuple[Any, ...] = (
            source.device,
            source.data_ptr(),
            source.dtype,
            source.numel(),
            *flags,
        )
        if not laid.is_contiguous():
            place = (*place, source.shape, source.stride())
        if source.numel() and place in self._shared:
            name = self._shared[place][1]
        else:
            name = self._add(
                Array(CODES.get(dtype, "U8"), tuple(laid.shape), self._copy(laid, path)), path
            )
            self._shared[place] = (source, name)
        array = self._arrays[name]
        encoded: dict[str, Any] = {TAG: "torch.Tensor", "array": name, "dtype": dtype}
        if (array.code == "U8" and dtype != "uint8") or array.shape != laid.shape:
            encoded["shape"] = list(laid.shape)
        if order is not None:
            encoded["order"] = order
        return encoded

    def _copy(self, laid: torch.Tensor, path: str) -> torch.Tensor:
        """A contiguous copy on the CPU; from a CUDA device it is only begun."""
        memory = self._lease.tensor(path, laid)
        if laid.device.type == "cuda":
            self._devices.add(laid.device)
            # Laid out on the device first: a copy between two layouts could not run by itself.
            laid = laid.resolve_conj().resolve_neg().contiguous()
            memory.copy_(laid, non_blocking=True)
        else:
            memory.copy_(laid)
        return memory

    def _add(self, array: Array, path: str) -> str:
        name, number = path, 1
        while name in self._arrays:
            number += 1
            name = f"{path}#{number}"
        self._arrays[name] = array
        return name


_CONTAINERS: dict[type, Callable[[Encoder, Any, str], Any]] = {
    list: Encoder.list,
    tuple: Encoder.tuple,
    dict: Encoder.dict,
    OrderedDict: Encoder.ordered,
    Counter: Encoder.counter,
}


def _check_tensor(value: torch.Tensor, path: str) -> None:
    import torch

    plain = type(value) in (torch.Tensor, torch.nn.Parameter) or isinstance(value, torch.nn.Buffer)
    strided = value.layout is torch.strided and not value.is_nested
    if not plain or not strided or value.is_quantized or value.is_meta:
        raise CheckpointError(
            f"{path}: a {_name(value)} ({value.layout}, {value.dtype}, {value.device}) cannot be "
            "saved; only ordinary dense tensors can"
        )


def _laid_out(source: torch.Tensor) -> tuple[torch.Tensor, list[int] | None]:
    """``source`` with its dimensions in the order that it lies in, and that order if not C's."""
    if not source.is_contiguous():
        order = sorted(range(source.dim()), key=lambda axis: source.stride(axis), reverse=True)
        if source.permute(order).is_contiguous():  # dense all the same: channels last, transposed
            return source.permute(order), order
    return source, None


def child(path: str, key: Any) -> str:
    """Path of the item ``key`` of what lies at ``path``."""
    if type(key) is not str:
        return f"{path}[{key!r}]"
    return f"{path}.{key}" if path else key


def _name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
